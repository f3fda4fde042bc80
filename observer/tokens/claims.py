"""Checking the signature and the claims of one JWT: the border to PyJWT."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

LEEWAY_S = 30
"""How far the clock of whoever signed may be off."""
MAX_TOKEN_BYTES = 16_384
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)
# Beyond its own errors PyJWT lets through that a text is no UTF-8; its version 2.10, which will do for us, also what
# hostile JSON does to Python: Infinity or a list as a time, deep nesting.


class UnprovenError(Exception):
    """A credential that does not hold. The text is for the log alone: an attacker learns nothing from a refusal."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself before anything was checked: good for choosing a key, for nothing else."""

    algorithm: str
    kid: str | None
    issuer: str | None


def peek(token: str) -> Unverified:
    """Read a token without checking it. Raises UnprovenError for what is no JWT."""
    if len(token) > MAX_TOKEN_BYTES:
        raise UnprovenError(f"longer than {MAX_TOKEN_BYTES} bytes")
    try:
        parts = jwt.decode_complete(token, options={"verify_signature": False})
    except _UNREADABLE as error:
        raise UnprovenError(f"no JWT: {type(error).__name__}") from error
    header, issuer = parts["header"], parts["payload"].get("iss")
    return Unverified(str(header.get("alg")), header.get("kid"), issuer if isinstance(issuer, str) else None)


def verify(
    token: str, key: RSAPublicKey | bytes, algorithm: str, *, audience: str = "", issuer: str = ""
) -> Mapping[str, Any]:
    """The claims of a token that this key signed with this algorithm, and that is valid now.

    `exp` is required; `nbf` and `iat` are checked where they are; `audience` and `issuer` where not empty.
    Raises UnprovenError.
    """
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=audience or None,
            issuer=issuer or None,
            leeway=LEEWAY_S,
            options={"require": ["exp"], "verify_aud": bool(audience)},
        )
    except _UNREADABLE as error:
        raise UnprovenError(f"{type(error).__name__}: {error}") from error
