"""What a user must not reach, generated for any two users: filters to read by, topics to forge with."""

from typing import NamedTuple

APP, OTHER_APP = "perm", "perm-2"


class Someone(NamedTuple):
    """One user of one app."""

    app: str
    user: str


PAIRS = [("alice", "bob"), ("a", "a-b"), ("a-b", "a"), ("a", "ab"), ("ab", "a"), ("_", "-")]
"""Attacker and victim in one app; ids that begin with one another are what a loose pattern lets through."""
NAMESAKES = [
    (Someone(OTHER_APP, "alice"), Someone(APP, "alice")),
    (Someone(APP, "alice"), Someone(OTHER_APP, "alice")),
    (Someone(APP, "-2alice"), Someone(OTHER_APP, "alice")),
    (Someone("alice", APP), Someone(APP, "alice")),
]
"""Attacker and victim in two apps: called the same, or the same when app and user run together or are exchanged."""
STRANGERS = [*((Someone(APP, me), Someone(APP, other)) for me, other in PAIRS), *NAMESAKES]


def foreign_filters(me: str, other: str) -> list[str]:
    """Filters that could show something that is not `me`'s."""
    return [
        "#",
        "+/#",
        "apps/#",
        f"apps/{APP}/#",
        "apps/+/users/#",
        f"apps/{APP}/users/#",
        f"apps/{APP}/users/+/#",
        f"apps/+/users/{me}/#",
        f"+/+/+/{me}/#",
        f"apps/{APP}/users/{other}/#",
        f"apps/{APP}/users/{other}/messages/{me}/clientadded",
        f"apps/{APP}/users/{me}",
        f"apps/{APP}/+/{me}/#",
        f"apps/{OTHER_APP}/users/{me}/#",
        f"apps/{APP}/outgoing/#",
        f"apps/{APP}/outgoing/users/{other}/#",
        f"apps/{APP}/outgoing/users/{me}/#",
        "observer/#",
        f"apps/observer/{APP}/users/{me}/#",
        f"$share/group/apps/{APP}/users/{other}/#",
        f"/apps/{APP}/users/{me}/#",
        "chat.in.0",
    ]


def foreign_topics(me: str, other: str) -> list[str]:
    """Topics by which `me` could forge something."""
    return [
        f"apps/{APP}/outgoing/users/{other}/messages/{me}/outgoing",
        f"apps/{APP}/outgoing/users/{me}",
        f"apps/{OTHER_APP}/outgoing/users/{me}/messages/{other}/outgoing",
        f"apps/{OTHER_APP}/users/{me}/messages/{other}/clientadded",
        *(
            f"apps/{APP}/users/{owner}/{below}"
            for owner in (me, other)
            for below in (
                f"messages/{other}/clientadded",
                f"messages/{other}/m-1/clientupdated",
                f"messages/{other}/m-1/update",
                f"conversations/{other}/clientdeleted",
                f"conversations/{other}/archive",
                "groups/update",
                "presence/x",
                "keepalive",
                "keepalive/x",
                "refused",
            )
        ),
        f"apps/observer/{APP}/users/{other}/messages/{me}/persist",
        f"apps/observer/{APP}/groups/update",
        f"observer/webhook/apps/{APP}/message_deliver",
        "chat.in.0",
        "chat.dead",
        "dead",
    ]
