"""The topic grammar: the only place that splits or joins a topic, and the only judge of an id.

MQTT clients write `a/b/c`; the broker hands us, and takes from us, the routing key `a.b.c`. Why ids are so narrow:
docs/facts.md, "Ids in topics and scopes". Names and shapes are Chat21's (docs/facts.md, "Chat21 topics"); `refused`
is ours, beside them.
"""

import re
from dataclasses import dataclass

from observer.errors import InvalidTopic

ID_MAX_LENGTH = 64
APP_MAX_LENGTH = 32
_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{ID_MAX_LENGTH}}}")
_APP = re.compile(rf"[A-Za-z0-9_-]{{1,{APP_MAX_LENGTH}}}")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`apps/<app>/outgoing/users/<sender>/messages/<recipient>/outgoing`: one message on its way in."""

    app: str
    sender: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Author:
    """Who published, as far as the topic tells: the broker lets a user write only below his own `outgoing` topic."""

    app: str
    user: str


def is_id(value: str) -> bool:
    """Whether `value` may name a user, a device or a group: 1 to 64 of A-Z a-z 0-9 _ and -."""
    return _ID.fullmatch(value) is not None


def is_app(value: str) -> bool:
    """Whether `value` may name an app: as an id, at most 32 characters."""
    return _APP.fullmatch(value) is not None


def check_id(value: str, what: str = "user id") -> str:
    """Return `value` if it is an id; raise InvalidTopic, saying `what` was wrong with which value, if not."""
    if not is_id(value):
        raise InvalidTopic("invalid_id", f"{what} {shown(value)} is not 1 to 64 characters of A-Z a-z 0-9 _ -")
    return value


def check_app(value: str) -> str:
    """Return `value` if it names an app; raise InvalidTopic if not."""
    if not is_app(value):
        raise InvalidTopic("invalid_id", f"app id {shown(value)} is not 1 to 32 characters of A-Z a-z 0-9 _ -")
    return value


def shown(value: str) -> str:
    """`value` as a message for a human may repeat it: quoted, printable, at most 80 characters."""
    text = ascii(value)
    return text if len(text) <= 80 else text[:60] + f"…' ({len(value)} characters)"


def parse(routing_key: str) -> Outgoing:
    """The meaning of a routing key that a client published with.

    Raises InvalidTopic (`invalid_topic` for its shape, `invalid_id` for an id in it).
    """
    parts = routing_key.split(".")
    match parts:
        case ["apps", app, "outgoing", "users", sender, "messages", recipient, "outgoing"]:
            return Outgoing(check_app(app), check_id(sender, "sender"), check_id(recipient, "recipient"))
        case _:
            raise InvalidTopic(
                "invalid_topic",
                f"topic {shown(routing_key.replace('.', '/'))} has not the shape "
                "apps/<app>/outgoing/users/<you>/messages/<recipient>/outgoing",
            )


def author(routing_key: str) -> Author | None:
    """Who wrote to this routing key, or None if not even that can be told; for answering a malformed topic."""
    match routing_key.split(".", 5):
        case ["apps", app, "outgoing", "users", user, *_] if is_app(app) and is_id(user):
            return Author(app, user)
        case _:
            return None


def outgoing(app: str, sender: str, recipient: str) -> str:
    """Routing key of a message on its way in."""
    return f"apps.{app}.outgoing.users.{sender}.messages.{recipient}.outgoing"


def client_added(app: str, owner: str, peer: str) -> str:
    """Routing key of an inbox copy: one message in `owner`'s conversation with `peer`."""
    return f"apps.{app}.users.{owner}.messages.{peer}.clientadded"


def refused(app: str, sender: str) -> str:
    """Routing key that tells a sender why a message of his was refused. Stock clients pass over it: five levels."""
    return f"apps.{app}.users.{sender}.refused"


def mqtt(routing_key: str) -> str:
    """The routing key as MQTT clients spell it."""
    return routing_key.replace(".", "/")


def inbox_filter(app: str, user: str) -> str:
    """The one MQTT filter under which a user receives everything that is his."""
    return f"apps/{app}/users/{user}/#"
