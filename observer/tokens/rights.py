"""One RabbitMQ scope in plain words, and what is wrong with it; called by `explain.py`.

Judges a scope against what its own user needs: everything else reaches further, and that is said.
"""

from dataclasses import dataclass
from urllib.parse import unquote_plus

from observer.tokens.scopes import SESSION_PREFIX, client_id

_VERBS = {
    "read": "take messages out of",
    "write": "put messages into",
    "configure": "create and delete",
}
_TOPIC_EXCHANGE = "amq.topic"


@dataclass(frozen=True, slots=True)
class Right:
    """What one scope allows."""

    text: str
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One part of a scope; split at `*` first, and percent signs decoded then (docs/facts.md, "Scopes")."""

    raw: str

    @property
    def is_exact(self) -> bool:
        return "*" not in self.raw

    @property
    def beginning(self) -> str:
        """Everything it matches begins with this."""
        return unquote_plus(self.raw.split("*", 1)[0])

    def __str__(self) -> str:
        """As the broker matches it, but printable."""
        return ascii("*".join(unquote_plus(part) for part in self.raw.split("*")))[1:-1]


@dataclass(frozen=True, slots=True)
class _Holder:
    """Whose token it is."""

    app: str
    user: str


def explain_scope(scope: str, *, app: str, user: str, audience: str = "rabbitmq") -> Right:
    """What this scope allows to `user` of `app` on a broker that is called `audience`."""
    if not scope.startswith(f"{audience}."):
        return Right(f"nothing here: {scope!a} is for another service than {audience!a}")
    permission, _, place = scope.removeprefix(f"{audience}.").partition(":")
    if permission == "tag":
        return Right(f"use the management interface as {place!a}", _tag_warning(place))
    parts = [_Pattern(part) for part in place.split("/")]
    if permission not in _VERBS or len(parts) > 3:
        return Right(f"nothing: {scope!a} is no scope that RabbitMQ knows")
    vhost, name, key = (*parts, *[_Pattern("*")] * (3 - len(parts)))
    return _explain_place(permission, name, key, where=f"in virtual host {vhost}", holder=_Holder(app, user))


def _tag_warning(tag: str) -> str:
    if tag == "administrator":
        return "the tag makes the holder administrator of the whole broker"
    return "the tag opens the management interface, which no user needs"


def _explain_place(permission: str, name: _Pattern, key: _Pattern, *, where: str, holder: _Holder) -> Right:
    if name.beginning.startswith(SESSION_PREFIX):
        return _explain_session(permission, name, where=where, holder=holder)
    if name.is_exact and str(name) == _TOPIC_EXCHANGE and permission in ("read", "write"):
        return _explain_topic(permission, key, where=where, holder=holder)
    right = f"{_VERBS[permission]} every queue and exchange named {name} {where}"
    if permission == "configure":
        return Right(right, "no user needs that: with it he could delete the queues of others and of the observer")
    warning = f"no user needs that: it reaches beyond what is {holder.user!a}'s"
    return Right(f"{right}, for topics like {_topic(key)}", warning)


def _explain_session(permission: str, name: _Pattern, *, where: str, holder: _Holder) -> Right:
    clients = str(name).removeprefix(SESSION_PREFIX)
    right = f"{_VERBS[permission]} the MQTT sessions of client ids like {clients} {where}"
    if name.beginning.startswith(SESSION_PREFIX + client_id(holder.app, holder.user, "")):
        return Right(right)
    return Right(right, "other users' sessions too, if their client ids are known: only that they are random protects")


def _explain_topic(permission: str, key: _Pattern, *, where: str, holder: _Holder) -> Right:
    topic = _topic(key)
    match permission, key.beginning.split("."):
        case "read", ["apps", app, "users", user, _, *_] if _Holder(app, user) == holder:
            return Right(f"receive what arrives at {topic} {where}")
        case "write", ["apps", app, "outgoing", "users", user, _, *_] if _Holder(app, user) == holder:
            return Right(f"send messages to {topic} {where}")
        case "write", ["apps", app, "users", user, below, *_] if _Holder(app, user) == holder:
            warning = "he can write into his own inbox, past the observer and its policies" if below == "" else None
            return Right(f"publish to {topic} {where}", warning)
        case _:
            verb = "receive everything" if permission == "read" else "publish anything"
            return Right(f"{verb} at {topic} {where}", f"these topics are not {holder.user!a}'s alone")


def _topic(key: _Pattern) -> str:
    return str(key).replace(".", "/")
