"""What a broker token allows, in plain words, for any token: `observer token explain`.

Nothing here is a check that anybody may rely on; it never repeats the token.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from observer.errors import Refused
from observer.tokens.keys import KeyRing
from observer.tokens.rights import Right, explain_scope
from observer.topics import is_app, is_id, shown

FAR_EXPIRY_S = 30 * 86_400
_FURTHER_SOURCES = ("authorization", "authorization_details", "extra_scope", "resource_access", "roles", "scp")
"""Claims from which a broker can be configured to take further rights."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was found, line by line."""

    facts: Sequence[str]
    rights: Sequence[str]
    warnings: Sequence[str]


def explain(token: str, *, now: float, ring: KeyRing | None = None, audience: str = "rabbitmq") -> Explanation:
    """Say who a token is for, until when, and what it allows. Raises Refused for what is no JWT."""
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise Refused("this is no token: not three parts of base64url text, two of them JSON objects") from error
    header, claims = parts["header"], parts["payload"]
    app, user = _text(claims, "app_id"), _text(claims, "sub")
    rights = [explain_scope(scope, app=app, user=user, audience=audience) for scope in _scopes(claims)]
    facts = [
        *_explain_user(claims),
        _explain_signature(token, header, ring),
        *_explain_times(claims, now),
    ]
    warnings = [
        *_user_warnings(claims),
        *_signature_warnings(token, header, ring),
        *_audience_warnings(claims, audience),
        *_time_warnings(claims, now),
        *_source_warnings(claims),
        *_right_warnings(rights),
    ]
    return Explanation(facts, [right.text for right in rights] or ["nothing"], warnings)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    match claims.get("scope"):
        case str(text):
            return text.split()
        case list(scopes):
            return [scope for scope in scopes if isinstance(scope, str)]
        case _:
            return []


def _explain_user(claims: Mapping[str, Any]) -> Iterator[str]:
    yield f"user {_shown(claims.get('sub'))}"
    yield f"app {_shown(claims.get('app_id'))}"


def _user_warnings(claims: Mapping[str, Any]) -> Iterator[str]:
    user, app = claims.get("sub"), claims.get("app_id")
    if not isinstance(user, str) or not is_id(user):
        yield (
            f"the user id {_shown(user)} is not 1 to 64 characters of A-Z a-z 0-9 _ -: "
            "a dot, a slash or a wildcard in it reaches other users' topics"
        )
    if app is None:
        yield "it names no app (claim app_id), so nothing that it allows can be told to be its user's own"
    elif not (isinstance(app, str) and is_app(app)):
        yield f"the app id {_shown(app)} is not 1 to 32 characters of A-Z a-z 0-9 _ -"


def _explain_signature(token: str, header: Mapping[str, Any], ring: KeyRing | None) -> str:
    kid, algorithm = header.get("kid"), _shown(header.get("alg"))
    signed = f"signed with {algorithm}, key {_shown(kid)}" if kid else f"signed with {algorithm}, no key named"
    key = ring.find(kid) if ring is not None and isinstance(kid, str) else None
    if key is None:
        return f"{signed}: not a key of ours, so the signature was not checked"
    return f"{signed}: ours" if _is_signed(token, key.verifier, key.algorithm) else f"{signed}: named, but not used"


def _signature_warnings(token: str, header: Mapping[str, Any], ring: KeyRing | None) -> Iterator[str]:
    algorithm, kid = str(header.get("alg")), header.get("kid")
    if algorithm.lower() == "none":
        yield "it is not signed: anybody could have written it, and the broker refuses it"
    if algorithm.startswith("HS"):
        yield "it is signed with a shared key: whoever can check it can also make such tokens"
    key = ring.find(kid) if ring is not None and isinstance(kid, str) else None
    if key is not None and not _is_signed(token, key.verifier, key.algorithm):
        yield "it names a key of ours, but that key did not sign it: it is forged or damaged"


def _is_signed(token: str, verifier: Any, algorithm: str) -> bool:
    try:
        jwt.PyJWS().decode(token, verifier, algorithms=[algorithm])
    except jwt.PyJWTError:
        return False
    return True


def _audience_warnings(claims: Mapping[str, Any], audience: str) -> Iterator[str]:
    named = claims.get("aud")
    if audience not in (named if isinstance(named, list) else [named]):
        yield f"it is not for this broker: its audience is {_shown(named)} and not {shown(audience)}"


def _explain_times(claims: Mapping[str, Any], now: float) -> Iterator[str]:
    issued, expires = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
    if issued is not None:
        yield f"issued {_when(issued)}"
    if expires is not None:
        yield f"expired {_when(expires)}" if expires <= now else f"good until {_when(expires)}"


def _time_warnings(claims: Mapping[str, Any], now: float) -> Iterator[str]:
    expires = _seconds(claims.get("exp"))
    if "exp" not in claims:
        yield "it has no expiry: RabbitMQ 3.10 accepts it for ever, 4.3 not at all"
    elif expires is None or not isinstance(claims["exp"], int):
        yield "its expiry is not a whole number: RabbitMQ 3.10 accepts it for ever, 4.3 not at all"
    elif expires <= now:
        yield "it has expired: the broker refuses it, though 3.10 leaves open connections alone"
    elif expires - now > FAR_EXPIRY_S:
        yield f"it is good for {(expires - now) / 86_400:.0f} days: a thief could use it that long"
    if "nbf" in claims:
        yield "it says not before when it is good, but RabbitMQ does not look at that"


def _source_warnings(claims: Mapping[str, Any]) -> Iterator[str]:
    for name in _FURTHER_SOURCES:
        if name in claims:
            yield f"a broker may be set up to take further rights from its claim {name!a}; they are not explained here"


def _right_warnings(rights: Sequence[Right]) -> Iterator[str]:
    for warning in dict.fromkeys(right.warning for right in rights if right.warning):
        yield f"{warning} — it may: " + "; ".join(right.text for right in rights if right.warning == warning)


def _seconds(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _when(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"at second {seconds:.0f}, which no calendar holds"


def _shown(value: Any) -> str:
    return shown(value if isinstance(value, str) else repr(value)) if value is not None else "(none)"
