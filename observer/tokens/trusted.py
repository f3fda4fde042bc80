"""An embedding app's own JWT: the proof that its user is who he says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from observer import topics
from observer.tokens.base import Caller, CallerRole, Credential
from observer.tokens.claims import UnprovenError, Unverified, verify
from observer.tokens.jwks import JwksKeys

MAX_PROFILE_BYTES = 4096
PROFILE_CLAIM = "_public"


@dataclass(frozen=True, slots=True)
class Issuer:
    """One embedding app that we trust with the names of its users.

    Each algorithm has its own kind of key, so a token can never have an RSA key taken for a shared secret.
    """

    app: str
    shared_key: bytes | None = None
    """HS256."""
    jwks: JwksKeys | None = None
    """RS256."""
    issuer: str = ""
    audience: str = ""
    user_claim: str = "sub"

    async def identify(self, token: str, unverified: Unverified) -> Caller:
        """Who the token is about. Raises UnprovenError."""
        if self.issuer and unverified.issuer != self.issuer:
            raise UnprovenError("another issuer's")
        key = await self._key(unverified)
        claims = verify(token, key, unverified.algorithm, audience=self.audience, issuer=self.issuer)
        user = claims.get(self.user_claim)
        if not isinstance(user, str) or not topics.is_id(user):
            raise UnprovenError(f"its claim {self.user_claim!r} is not a user id")
        return Caller(
            app=self.app,
            role=CallerRole.USER,
            name=user,
            user=user,
            public_profile=_public_profile(claims),
            credential=Credential.ISSUER_JWT,
        )

    async def _key(self, unverified: Unverified) -> Any:
        match unverified.algorithm:
            case "HS256" if self.shared_key is not None:
                return self.shared_key
            case "RS256" if self.jwks is not None:
                return await self.jwks.find(unverified.kid)
        raise UnprovenError(f"signed with an algorithm ({topics.shown(unverified.algorithm)}) that is not accepted")


def _public_profile(claims: Mapping[str, Any]) -> Mapping[str, Any] | None:
    profile = claims.get(PROFILE_CLAIM)
    if profile is None:
        return None
    if not isinstance(profile, dict):
        raise UnprovenError(f"its claim {PROFILE_CLAIM!r} is not an object")
    try:
        size = len(orjson.dumps(profile))
    except orjson.JSONEncodeError as error:
        raise UnprovenError(f"its claim {PROFILE_CLAIM!r} cannot be stored") from error
    if size > MAX_PROFILE_BYTES:
        raise UnprovenError(f"its claim {PROFILE_CLAIM!r} has more than {MAX_PROFILE_BYTES} bytes")
    return profile
