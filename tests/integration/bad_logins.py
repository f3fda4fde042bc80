"""Tokens that a forger, a thief or a late-comer would show to the broker."""

import base64
import hmac
import json
import time
from dataclasses import replace
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from observer.tokens.keys import SigningKey
from observer.tokens.scopes import standard_scopes
from tests.integration.attempts import Login
from tests.integration.foreign import APP


def signed(key: SigningKey, user: str, scopes: Any, **claims: Any) -> str:
    """A token with claims of our choice."""
    good = {"sub": user, "aud": "rabbitmq", "iat": int(time.time()), "exp": int(time.time()) + 300, "scope": scopes}
    return jwt.encode({**good, **claims}, key.signer, "RS256", headers={"kid": key.kid})


def bad_logins(good: Login, key: SigningKey) -> dict[str, Login]:
    """Everything that is no valid token, by what is wrong with it; `good` is alice's way in, `key` the broker's."""
    scopes = standard_scopes(APP, "alice")
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = {"sub": "alice", "aud": "rabbitmq", "exp": int(time.time()) + 300, "scope": scopes}
    public = key.public_pem().encode()
    header, payload, signature = str(good.password).split(".")
    passwords: dict[str, str | None] = {
        "expired": signed(key, "alice", scopes, exp=int(time.time()) - 5),
        "for another broker": signed(key, "alice", scopes, aud="another"),
        "a stranger's": jwt.encode(claims, stranger, "RS256", headers={"kid": key.kid}),
        "a stranger's, key unknown": jwt.encode(claims, stranger, "RS256", headers={"kid": "stranger"}),
        "unsigned": jwt.encode(claims, "", "none", headers={"kid": key.kid}),
        "signed with the public key": hs256(claims, public, key.kid),
        "signed with an empty key": hs256(claims, b"", key.kid),
        "changed": f"{header}.{payload}x.{signature}",
        "cut": f"{header}.{payload}.",
        "a word": "password",
        "nothing": "",
        "none at all": None,
    }
    logins = {name: replace(good, password=password) for name, password in passwords.items()}
    logins["anonymous"] = replace(good, username=None, password=None)
    logins["guest"] = replace(good, username="guest", password="guest")
    logins |= {
        f"the observer by password {word!r}": replace(good, username="observer", password=word)
        for word in ("", "observer", "x")
    }
    return logins


def hs256(claims: dict[str, Any], secret: bytes, kid: str) -> str:
    """A token as a forger signs it; the library refuses to."""
    parts = ({"alg": "HS256", "typ": "JWT", "kid": kid}, claims)
    text = ".".join(unpadded(json.dumps(part).encode()) for part in parts)
    return f"{text}.{unpadded(hmac.digest(secret, text.encode(), 'sha256'))}"


def unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
