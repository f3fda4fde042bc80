"""Tokens for stock Chat21 clients: HS256 with the operator's key, and the claims they know.

Such a token: docs/facts.md, "Chat21 tokens". What it cannot protect: docs/security.md, "The chat21 profile".
"""

from uuid import uuid4

import jwt

from observer import topics
from observer.errors import ConfigError, Refused
from observer.tokens.base import RECIPIENT, IssuedToken
from observer.tokens.keys import HMAC_MIN_BYTES
from observer.tokens.scopes import chat21_scopes

USERNAME = "JWT"
"""What stock clients send as MQTT user name (docs/facts.md, "Chat21 connections")."""


class Chat21Tokens:
    """Issues tokens of the chat21 profile for its one app."""

    def __init__(
        self,
        key: bytes,
        *,
        key_id: str,
        app: str = "tilechat",
        ttl_s: int = 86_400,
        audience: str = "rabbitmq",
        vhost: str = "/",
    ) -> None:
        """Raises ConfigError for a key that could be guessed (RFC 7518, 3.2)."""
        if len(key) < HMAC_MIN_BYTES:
            raise ConfigError(
                f"tokens.chat21.key has {len(key)} bytes and needs at least {HMAC_MIN_BYTES}; "
                "make one with `openssl rand -hex 32` and give it to the broker too"
            )
        self.app = app
        self.key = key
        self._key_id = key_id
        self._ttl_s = ttl_s
        self._audience = audience
        self._vhost = vhost

    def issue(self, app: str, user: str, *, now: int) -> IssuedToken:
        """A token for one user. Raises InvalidTopic for an id outside the alphabet, Refused for another app."""
        topics.check_id(user)
        if app != self.app:
            raise Refused(f"the chat21 profile is for the app {self.app!r} only, not for {topics.shown(app)}")
        scopes = chat21_scopes(app, user, vhost=self._vhost, audience=self._audience)
        claims = {
            "jti": str(uuid4()),
            **dict.fromkeys(("sub", "client_id", "cid", "azp", "user_id"), user),
            "app_id": app,
            "scope": scopes,
            "aud": [self._audience, user],
            "kid": self._key_id,
            "tiledesk_api_roles": "user",
            "iat": now,
            "exp": now + self._ttl_s,
        }
        return IssuedToken(
            # The key's id in the header too: the broker then needs no default key for tokens without one.
            token=jwt.encode(claims, self.key, "HS256", headers={"kid": self._key_id}),
            app=app,
            user=user,
            client_id=str(uuid4()),
            username=USERNAME,
            subscribe=topics.inbox_filter(app, user),
            publish=topics.mqtt(topics.outgoing(app, user, RECIPIENT)),
            expires_at=now + self._ttl_s,
            scopes=scopes,
        )
