"""What a user's broker token allows, as RabbitMQ scopes: the only place that writes one.

A scope is `<audience>.<permission>:<vhost>/<name>[/<routing key>]`; `*` stands for any run of characters, dots too.
Every line here is needed and was tested alone on RabbitMQ 3.10 and 4.3 (docs/security.md, "What a token allows").
"""

from urllib.parse import quote

CLIENT_ID_SEPARATOR = "."
"""Between user and device in a client id. No id contains it, so `a` can not reach the sessions of `a-b`."""


def client_id(user: str, device: str) -> str:
    """The MQTT client id of one device; the names of its session queues begin with it."""
    return f"{user}{CLIENT_ID_SEPARATOR}{device}"


def standard_scopes(app: str, user: str, *, vhost: str = "/", audience: str = "rabbitmq") -> tuple[str, ...]:
    """Subscribe to one's own inbox, publish to one's own outgoing topics, own the sessions `<user>.<device>`."""
    place = quote(vhost, safe="")
    sessions = f"{place}/mqtt-subscription-{user}{CLIENT_ID_SEPARATOR}*"
    return (
        f"{audience}.configure:{sessions}",
        f"{audience}.write:{sessions}",
        f"{audience}.read:{sessions}",
        f"{audience}.read:{place}/amq.topic/apps.{app}.users.{user}.*",
        f"{audience}.write:{place}/amq.topic/apps.{app}.outgoing.users.{user}.*",
    )


def chat21_scopes(app: str, user: str, *, vhost: str = "/", audience: str = "rabbitmq") -> tuple[str, ...]:
    """The narrowest scopes with which the stock Chat21 client works (contract, 1.1, 1.2 and 2).

    Its client id is a random UUID that names no user, so the session scopes match every UUID: only that nobody can
    guess another's keeps sessions apart. It subscribes with QoS 0, so sessions of QoS 1 are out of its reach.
    Nothing here ends in `clientadded`, `clientupdated` or `clientdeleted`, except below the user's own presence.
    """
    place = quote(vhost, safe="")
    sessions = f"{place}/mqtt-subscription-*-*-4*-*-*qos0"
    own = f"{place}/amq.topic/apps.{app}.users.{user}"
    return (
        f"{audience}.configure:{sessions}",
        f"{audience}.write:{sessions}",
        f"{audience}.read:{sessions}",
        f"{audience}.read:{own}.*",
        f"{audience}.write:{place}/amq.topic/apps.{app}.outgoing.users.{user}.*",
        f"{audience}.write:{own}.presence.*",
        f"{audience}.write:{own}.conversations.*.update",
        f"{audience}.write:{own}.conversations.*.archive",
        f"{audience}.write:{own}.messages.*.update",
    )
