"""An embedding app's own JWT: what it vouches for, and what it cannot."""

import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from observer.tokens.base import Caller, CallerRole, Credential
from observer.tokens.identity import Identities
from observer.tokens.trusted import MAX_PROFILE_BYTES
from tests.unit.tokens.credentials import (
    BANK,
    BANK_KID,
    CHAT21_KEY,
    SHARED,
    bank_token,
    refused,
    shop_token,
    signed_hs256,
    signed_rs256,
    soon,
    unchecked_jws,
)


async def test_a_shared_key_vouches_for_a_user(believed: Identities) -> None:
    assert await believed.identify(shop_token(_public={"name": "Alice"})) == Caller(
        "shop", CallerRole.USER, "alice", "alice", {"name": "Alice"}, Credential.ISSUER_JWT
    )


async def test_the_user_is_in_the_claim_that_is_configured_and_in_no_other(believed: Identities) -> None:
    caller = await believed.identify(shop_token(sub="eve", user_id="eve", name="eve"))
    assert caller.user == "alice"
    await refused(believed, jwt.encode({"sub": "eve", "exp": soon()}, SHARED, "HS256"))


async def test_a_public_profile_may_be_empty_and_has_a_limit_to_the_byte(believed: Identities) -> None:
    """An empty one takes the earlier one back; a null says nothing."""
    assert (await believed.identify(shop_token(_public={}))).public_profile == {}
    assert (await believed.identify(shop_token(_public=None))).public_profile is None
    full = {"n": "x" * (MAX_PROFILE_BYTES - len('{"n":""}'))}
    assert (await believed.identify(shop_token(_public=full))).public_profile == full
    await refused(believed, shop_token(_public={"n": full["n"] + "x"}))


async def test_a_published_key_vouches_for_a_user(believed: Identities, foreign_key: RSAPrivateKey) -> None:
    caller = await believed.identify(bank_token(foreign_key))
    assert (caller.app, caller.user, caller.public_profile) == ("bank", "bob", None)


async def test_a_small_difference_between_clocks_is_forgiven(believed: Identities) -> None:
    now = int(time.time())
    await believed.identify(shop_token(exp=now - 5, nbf=now + 5, iat=now + 5))


@pytest.mark.parametrize(("claim", "off_s"), [("exp", -60), ("nbf", 60), ("iat", 60)])
async def test_a_minutes_difference_between_clocks_is_not_forgiven(
    believed: Identities, claim: str, off_s: int
) -> None:
    await refused(believed, shop_token(**{claim: int(time.time()) + off_s}))


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": [soon()]},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"uid": "a.b"},
        {"uid": "*"},
        {"uid": ""},
        {"uid": 7},
        {"uid": None},
        {"uid": ["alice"]},
        {"uid": "x" * 65},
        {"_public": "text"},
        {"_public": [1]},
        {"_public": []},
        {"_public": ""},
        {"_public": False},
        {"_public": {"name": "x" * MAX_PROFILE_BYTES}},
        {"_public": {"name": 1 << 70}},
    ],
    ids=repr,
)
async def test_a_shared_key_can_not_vouch_for_this(believed: Identities, claims: Mapping[str, Any]) -> None:
    present = {name: value for name, value in {"uid": "alice", "exp": soon(), **claims}.items() if value is not None}
    await refused(believed, jwt.encode(present, SHARED, "HS256"))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://thief"},
        {"iss": ["https://bank"]},
        {"aud": "another service"},
        {"aud": None},
        {"exp": 1_000_000_000},
        {"sub": "a/b"},
    ],
    ids=repr,
)
async def test_a_published_key_can_not_vouch_for_this(
    believed: Identities, foreign_key: RSAPrivateKey, claims: Mapping[str, Any]
) -> None:
    present = {name: value for name, value in {**BANK, "exp": soon(), **claims}.items() if value is not None}
    token = unchecked_jws({"alg": "RS256", "kid": BANK_KID}, present, lambda text: signed_rs256(text, foreign_key))
    await refused(believed, token)


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_a_published_key_signs_with_rs256_only(
    believed: Identities, foreign_key: RSAPrivateKey, algorithm: str
) -> None:
    await refused(believed, bank_token(foreign_key, algorithm=algorithm))


async def test_an_issuer_with_published_keys_has_no_shared_one(
    believed: Identities, foreign_key: RSAPrivateKey
) -> None:
    """Neither an empty secret nor the public key passes for one."""
    public = foreign_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (b"", public, public.strip()):
        header, claims = {"alg": "HS256", "kid": BANK_KID}, {**BANK, "exp": soon()}
        await refused(believed, unchecked_jws(header, claims, lambda text, key=secret: signed_hs256(text, key)))


async def test_an_issuers_key_can_not_make_a_token_of_another_app(
    believed: Identities, foreign_key: RSAPrivateKey
) -> None:
    caller = await believed.identify(bank_token(foreign_key, app_id="shop"))
    assert caller.app == "bank"
    await refused(believed, jwt.encode({"sub": "x", "app_id": "demo", "aud": "rabbitmq", "exp": soon()}, CHAT21_KEY))
