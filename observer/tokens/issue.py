"""Issues broker tokens: the one place that signs for a user. Called by the HTTP API and by `observer token issue`."""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import jwt

from observer import topics
from observer.broker.names import USER
from observer.errors import Refused
from observer.tokens.base import RECIPIENT, IssuedToken, Profile
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.keys import KeyStore
from observer.tokens.scopes import client_id, standard_scopes


class BrokerTokens:
    """The `TokenIssuer` of both profiles."""

    def __init__(
        self,
        keys: KeyStore,
        *,
        ttl_s: int = 3600,
        audience: str = "rabbitmq",
        vhost: str = "/",
        chat21: Chat21Tokens | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._ttl_s = ttl_s
        self._audience = audience
        self._vhost = vhost
        self._chat21 = chat21
        self._clock = clock

    def issue(
        self, app: str, user: str, *, device: str | None = None, profile: Profile = Profile.STANDARD
    ) -> IssuedToken:
        """A token for one user; a device id is made up (unguessable) where none is given.

        Raises InvalidTopic for an id outside the alphabet, Refused for a profile that is off or another app's, for a
        device of a chat21 client, and for the broker's own user.
        """
        topics.check_app(app)
        check_user(user)
        if profile is Profile.CHAT21:
            return self._issue_chat21(app, user, device)
        return self._issue_standard(app, user, random_device() if device is None else device)

    async def jwks(self) -> Mapping[str, Any]:
        """The public keys, as a JWK set; empty with HS256."""
        await self._keys.refresh()
        return self._keys.ring.jwks()

    def _issue_chat21(self, app: str, user: str, device: str | None) -> IssuedToken:
        if self._chat21 is None:
            raise Refused("the chat21 profile is off; it needs tokens.chat21.enabled and tokens.chat21.key")
        if device is not None:
            raise Refused("a chat21 client makes up its own client id: leave the device out")
        return self._chat21.issue(app, user, now=int(self._clock()))

    def _issue_standard(self, app: str, user: str, device: str) -> IssuedToken:
        topics.check_id(device, "device id")
        now = int(self._clock())
        scopes = standard_scopes(app, user, vhost=self._vhost, audience=self._audience)
        claims = {
            "jti": str(uuid4()),
            "sub": user,
            "app_id": app,
            "aud": self._audience,
            "iat": now,
            "exp": now + self._ttl_s,  # an integer, see docs/facts.md, "Token expiry"
            "scope": scopes,
        }
        key = self._keys.ring.current
        return IssuedToken(
            token=jwt.encode(claims, key.signer, key.algorithm, headers={"kid": key.kid}),
            app=app,
            user=user,
            client_id=client_id(app, user, device),
            username=user,
            subscribe=topics.inbox_filter(app, user),
            publish=topics.mqtt(topics.outgoing(app, user, RECIPIENT)),
            expires_at=now + self._ttl_s,
            scopes=scopes,
        )


def check_user(user: str) -> str:
    """Return `user` if he may have a token. Raises InvalidTopic for no id, Refused for the observer's own name.

    Limits and log lines of the broker go by that name: a chat user's connections would count as the observer's.
    """
    if topics.check_id(user) == USER:
        raise Refused(f"user id {USER!r} is the observer's own name on the broker; choose another")
    return user


def random_device() -> str:
    """128 random bits: who knows a client id can cut it off (docs/facts.md, "Taken-over client ids")."""
    return secrets.token_hex(16)
