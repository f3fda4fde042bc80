"""Credentials, good and forged, and somebody who judges them: for the tests of whom we believe."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from observer.errors import Refused
from observer.tokens.base import CallerRole
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.claims import UnprovenError
from observer.tokens.identity import REFUSAL, ApiKey, Identities
from observer.tokens.jwks import JwksKeys
from observer.tokens.keys import KeyStore, SigningKey
from observer.tokens.trusted import Issuer

SHARED = b"the shop's shared key, which is long enough"
CHAT21_KEY = b"the old broker's key, 32 bytes or more"
API_KEY = "an API key that nobody can guess"
BANK_KID = "bank-1"
BANK = {"sub": "bob", "iss": "https://bank", "aud": "chat"}


class PublishedKeys(JwksKeys):
    """An issuer's key without its web server, which test_jwks.py is about."""

    def __init__(self, key: RSAPublicKey) -> None:
        self._key = key

    async def find(self, kid: str | None) -> RSAPublicKey:
        if kid != BANK_KID:
            raise UnprovenError("not published")
        return self._key


def identities(keys: KeyStore, foreign_key: RSAPrivateKey) -> Identities:
    return Identities(
        keys,
        api_keys=[
            ApiKey("other", "shop", CallerRole.ISSUER, hashlib.sha256(b"another key").hexdigest()),
            ApiKey("backend", "shop", CallerRole.ADMIN, hashlib.sha256(API_KEY.encode()).hexdigest()),
        ],
        issuers=[
            Issuer("bank", jwks=PublishedKeys(foreign_key.public_key()), issuer="https://bank", audience="chat"),
            Issuer("shop", shared_key=SHARED, user_claim="uid"),
        ],
        chat21=Chat21Tokens(CHAT21_KEY, key_id="tiledesk-key"),
    )


def soon() -> int:
    return int(time.time()) + 300


def shop_token(**claims: Any) -> str:
    return jwt.encode({"uid": "alice", "exp": soon(), **claims}, SHARED, "HS256")


def bank_token(key: RSAPrivateKey, *, algorithm: str = "RS256", **claims: Any) -> str:
    return jwt.encode({**BANK, "exp": soon(), **claims}, key, algorithm, headers={"kid": BANK_KID})


def own_token(key: SigningKey, **claims: Any) -> str:
    good = {"sub": "alice", "app_id": "demo", "aud": "rabbitmq", "exp": soon()}
    return jwt.encode({**good, **claims}, key.signer, key.algorithm, headers={"kid": key.kid})


async def refused(believed: Identities, credential: str) -> None:
    with pytest.raises(Refused) as caught:
        await believed.identify(credential)
    assert str(caught.value) == REFUSAL
    assert caught.value.__cause__ is None


def unchecked_jws(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Any) -> str:
    """A token as a forger writes it, without a library that would stop him."""
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{text}.{_encoded(sign(text.encode()))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed_hs256(text: bytes, key: bytes, digest: str = "sha256") -> bytes:
    return hmac.digest(key, text, digest)


def signed_rs256(text: bytes, key: RSAPrivateKey) -> bytes:
    return jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(text, key)
