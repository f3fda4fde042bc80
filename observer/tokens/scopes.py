"""What a user's broker token allows, as RabbitMQ scopes: the only place that writes one.

A scope is `<audience>.<permission>:<vhost>/<name>[/<routing key>]`; `*` stands for any run of characters, dots too.
Every line here is needed and was tested alone on RabbitMQ 3.10 and 4.3 (docs/security.md, "What a token allows").
"""

from urllib.parse import quote

SESSION_PREFIX = "mqtt-subscription-"
"""The broker calls the queues of a session by this, the client id, and `qos0` or `qos1`."""


def client_id(app: str, user: str, device: str) -> str:
    """The MQTT client id of one device: `<app>.<user>.<device>`, with `~` for every `-`.

    No id contains a dot, so no other user and no other app has client ids that begin as this user's do.
    None contains a `~`, so nothing runs together; and a client id without `-` is none that a chat21 token reaches.
    """
    return f"{app}.{user}.{device}".replace("-", "~")


def standard_scopes(app: str, user: str, *, vhost: str = "/", audience: str = "rabbitmq") -> tuple[str, ...]:
    """Subscribe to one's own inbox, publish to one's own outgoing topics, own the sessions of one's client ids."""
    place = quote(vhost, safe="")
    sessions = f"{place}/{SESSION_PREFIX}{client_id(app, user, '*')}"
    return (
        f"{audience}.configure:{sessions}",
        f"{audience}.write:{sessions}",
        f"{audience}.read:{sessions}",
        f"{audience}.read:{place}/amq.topic/apps.{app}.users.{user}.*",
        f"{audience}.write:{place}/amq.topic/apps.{app}.outgoing.users.{user}.*",
    )


def chat21_scopes(app: str, user: str, *, vhost: str = "/", audience: str = "rabbitmq") -> tuple[str, ...]:
    """The narrowest scopes with which the stock Chat21 client works.

    What that client does: docs/facts.md, "Chat21 topics" and "Chat21 connections".
    Its client id is a random UUID that names no user, so the session scopes match every UUID: only that nobody can
    guess another's keeps sessions apart. It subscribes with QoS 0, so sessions of QoS 1 are out of its reach; so are
    those of standard clients, which have no `-` in their client ids.
    Its web app also publishes `keepalive` every few seconds; the broker would close the connection of who may not.
    Nothing here ends in `clientadded`, `clientupdated` or `clientdeleted`, except below the user's own presence.
    """
    place = quote(vhost, safe="")
    sessions = f"{place}/{SESSION_PREFIX}*-*-4*-*-*qos0"
    own = f"{place}/amq.topic/apps.{app}.users.{user}"
    return (
        f"{audience}.configure:{sessions}",
        f"{audience}.write:{sessions}",
        f"{audience}.read:{sessions}",
        f"{audience}.read:{own}.*",
        f"{audience}.write:{place}/amq.topic/apps.{app}.outgoing.users.{user}.*",
        f"{audience}.write:{own}.keepalive",
        f"{audience}.write:{own}.presence.*",
        f"{audience}.write:{own}.conversations.*.update",
        f"{audience}.write:{own}.conversations.*.archive",
        f"{audience}.write:{own}.messages.*.update",
    )
