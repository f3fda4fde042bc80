"""Whom we believe: tells who a bearer credential belongs to (docs/security.md, "Who is calling").

Tried in this order: API keys, our own broker tokens, our chat21 tokens, the JWTs of trusted issuers. A token that names
one of our keys is judged by that key alone.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from observer import topics
from observer.errors import Refused
from observer.tokens.base import Caller, CallerRole, Credential
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.claims import UnprovenError, Unverified, peek, verify
from observer.tokens.keys import KeyStore
from observer.tokens.trusted import Issuer

REFUSAL = "the credential is not accepted: it is unknown, expired or not for this service"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key of an embedding app's servers, by its hash."""

    name: str
    app: str
    role: CallerRole
    sha256: str


class Identities:
    """The `Identifier`."""

    def __init__(
        self,
        keys: KeyStore,
        *,
        audience: str = "rabbitmq",
        api_keys: Sequence[ApiKey] = (),
        issuers: Sequence[Issuer] = (),
        chat21: Chat21Tokens | None = None,
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._api_keys = tuple(api_keys)
        self._issuers = tuple(issuers)
        self._chat21 = chat21

    async def identify(self, credential: str) -> Caller:
        """Who this credential belongs to.

        Raises Refused, always with the same text, for anything that does not hold; why stands in the log alone.
        """
        await self._keys.refresh()  # here, because whoever shows an API key asks for tokens that these keys sign
        try:
            return self._by_api_key(credential) or await self._by_token(credential)
        except UnprovenError as unproven:
            log.info("credential_refused", reason=str(unproven))
            raise Refused(REFUSAL) from None

    def _by_api_key(self, credential: str) -> Caller | None:
        digest = hashlib.sha256(credential.encode(errors="replace")).hexdigest()
        # Every key is compared, each in constant time: how long it takes says nothing about how near a guess was.
        matching = [key for key in self._api_keys if hmac.compare_digest(key.sha256, digest)]
        if not matching:
            return None
        key = matching[0]
        return Caller(app=key.app, role=key.role, name=key.name, credential=Credential.API_KEY)

    async def _by_token(self, token: str) -> Caller:
        unverified = peek(token)
        own = self._keys.ring.find(unverified.kid) if unverified.kid is not None else None
        if own is not None:
            return _broker_caller(verify(token, own.verifier, own.algorithm, audience=self._audience))
        return self._by_chat21(token, unverified) or await self._by_issuer(token, unverified)

    def _by_chat21(self, token: str, unverified: Unverified) -> Caller | None:
        if self._chat21 is None or unverified.algorithm != "HS256":
            return None
        try:
            claims = verify(token, self._chat21.key, "HS256", audience=self._audience)
        except UnprovenError:
            return None  # a trusted issuer may sign with HS256 too
        if claims.get("app_id") != self._chat21.app:
            raise UnprovenError("a chat21 token of another app")
        return _broker_caller(claims)

    async def _by_issuer(self, token: str, unverified: Unverified) -> Caller:
        reasons = []
        for issuer in self._issuers:
            try:
                return await issuer.identify(token, unverified)
            except UnprovenError as unproven:
                reasons.append(f"for {issuer.app}: {unproven}")
        raise UnprovenError("; ".join(reasons) or "no issuer is trusted")


def _broker_caller(claims: Mapping[str, Any]) -> Caller:
    app, user = claims.get("app_id"), claims.get("sub")
    if not (isinstance(app, str) and topics.is_app(app) and isinstance(user, str) and topics.is_id(user)):
        raise UnprovenError("a broker token without an app and a user")
    return Caller(app=app, role=CallerRole.USER, name=user, user=user, credential=Credential.BROKER_TOKEN)
