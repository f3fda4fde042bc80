"""Whom we believe: every credential that does not hold is refused, and all with the same words."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from observer.errors import Refused
from observer.tokens.base import Caller, CallerRole, Credential, Profile
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.claims import MAX_TOKEN_BYTES
from observer.tokens.identity import REFUSAL, ApiKey, Identities
from observer.tokens.issue import BrokerTokens
from observer.tokens.jwks import JwksKeys
from observer.tokens.keys import KeyStore, SigningKey
from observer.tokens.rotation import confirm_next, rotate_keys
from observer.tokens.trusted import MAX_PROFILE_BYTES, Issuer

SHARED = b"the shop's shared key, which is long enough"
CHAT21_KEY = b"the old broker's key, 32 bytes or more"
API_KEY = "an API key that nobody can guess"


class PublishedKeys(JwksKeys):
    """An issuer's key without its web server, which test_jwks.py is about."""

    def __init__(self, key: RSAPublicKey) -> None:
        self._key = key

    async def find(self, kid: str | None) -> RSAPublicKey:
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


@pytest.fixture
def believed(keys: KeyStore, foreign_key: RSAPrivateKey) -> Identities:
    return identities(keys, foreign_key)


def soon() -> int:
    return int(time.time()) + 300


def shop_token(**claims: Any) -> str:
    return jwt.encode({"uid": "alice", "exp": soon(), **claims}, SHARED, "HS256")


def bank_token(key: RSAPrivateKey, **claims: Any) -> str:
    return jwt.encode({"sub": "bob", "exp": soon(), "iss": "https://bank", "aud": "chat", **claims}, key, "RS256")


def own_token(key: SigningKey, **claims: Any) -> str:
    good = {"sub": "alice", "app_id": "demo", "aud": "rabbitmq", "exp": soon()}
    return jwt.encode({**good, **claims}, key.signer, key.algorithm, headers={"kid": key.kid})


async def refused(believed: Identities, credential: str) -> None:
    with pytest.raises(Refused) as caught:
        await believed.identify(credential)
    assert str(caught.value) == REFUSAL
    assert caught.value.__cause__ is None


async def test_an_api_key_is_known_by_its_hash(believed: Identities) -> None:
    assert await believed.identify(API_KEY) == Caller(
        "shop", CallerRole.ADMIN, "backend", credential=Credential.API_KEY
    )


async def test_the_hash_of_an_api_key_is_not_the_key(believed: Identities) -> None:
    await refused(believed, hashlib.sha256(API_KEY.encode()).hexdigest())


async def test_every_digit_of_an_api_keys_hash_counts(keys: KeyStore) -> None:
    digest = hashlib.sha256(API_KEY.encode()).hexdigest()
    for place, digit in enumerate(digest):
        near = f"{digest[:place]}{'1' if digit == '0' else '0'}{digest[place + 1 :]}"
        await refused(Identities(keys, api_keys=[ApiKey("near", "shop", CallerRole.ADMIN, near)]), API_KEY)


async def test_a_token_of_ours_is_its_user(believed: Identities, keys: KeyStore) -> None:
    issued = BrokerTokens(keys).issue("demo", "alice")
    assert await believed.identify(issued.token) == Caller(
        "demo", CallerRole.USER, "alice", "alice", credential=Credential.BROKER_TOKEN
    )


async def test_tokens_of_every_key_are_good_after_a_rotation(folder: Path, foreign_key: RSAPrivateKey) -> None:
    before = KeyStore(folder).ring
    rotate_keys(folder)
    believed = identities(KeyStore(folder), foreign_key)
    for key in before:
        assert (await believed.identify(own_token(key))).user == "alice"


async def test_tokens_of_a_key_that_was_rotated_out_are_refused(folder: Path, foreign_key: RSAPrivateKey) -> None:
    oldest = KeyStore(folder).ring.current
    rotate_keys(folder)
    confirm_next(folder)
    rotate_keys(folder)
    await refused(identities(KeyStore(folder), foreign_key), own_token(oldest))


async def test_a_rotation_while_we_run_is_followed(folder: Path, foreign_key: RSAPrivateKey) -> None:
    now = [0.0]
    believed = identities(KeyStore(folder, clock=lambda: now[0]), foreign_key)
    rotate_keys(folder)
    confirm_next(folder)
    newest = rotate_keys(folder).current
    now[0] = 10.0
    assert (await believed.identify(own_token(newest))).user == "alice"


async def test_a_chat21_token_is_its_user_too(believed: Identities, keys: KeyStore) -> None:
    chat21 = Chat21Tokens(CHAT21_KEY, key_id="tiledesk-key")
    issued = BrokerTokens(keys, chat21=chat21).issue("tilechat", "USER1", profile=Profile.CHAT21)
    caller = await believed.identify(issued.token)
    assert (caller.app, caller.user, caller.role) == ("tilechat", "USER1", CallerRole.USER)
    assert caller.credential is Credential.BROKER_TOKEN


async def test_an_old_chat21_administrator_is_a_user_like_any_other(believed: Identities) -> None:
    """The key is shared with older services: a role in such a token is not ours to believe."""
    claims = {"sub": "100-APIADMIN", "app_id": "tilechat", "aud": ["rabbitmq"], "tiledesk_api_roles": "admin"}
    caller = await believed.identify(jwt.encode({**claims, "exp": soon()}, CHAT21_KEY, "HS256"))
    assert caller.role is CallerRole.USER


async def test_a_shared_key_vouches_for_a_user(believed: Identities) -> None:
    assert await believed.identify(shop_token(_public={"name": "Alice"})) == Caller(
        "shop", CallerRole.USER, "alice", "alice", {"name": "Alice"}, Credential.ISSUER_JWT
    )


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
    good = {"sub": "bob", "exp": soon(), "iss": "https://bank", "aud": "chat"}
    present = {name: value for name, value in {**good, **claims}.items() if value is not None}
    token = unchecked_jws({"alg": "RS256"}, present, lambda text: _sign(text, foreign_key))
    await refused(believed, token)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_000_000_000},
        {"aud": "another broker"},
        {"app_id": "a.b"},
        {"app_id": 5},
        {"app_id": "x" * 33},
        {"sub": "a.b"},
        {"sub": "#"},
    ],
    ids=repr,
)
async def test_not_everything_that_our_key_signed_is_a_caller(
    believed: Identities, keys: KeyStore, claims: Mapping[str, Any]
) -> None:
    await refused(believed, own_token(keys.ring.current, **claims))


async def test_a_forged_algorithm_is_refused(believed: Identities, keys: KeyStore, foreign_key: RSAPrivateKey) -> None:
    """`none`, a public key used as a shared secret, our key's name over another's signature, and back."""
    own, good = keys.ring.current, {"sub": "alice", "app_id": "demo", "aud": "rabbitmq", "exp": soon(), "uid": "alice"}
    public = own.public_pem().encode()
    for token in (
        unchecked_jws({"alg": "none", "kid": own.kid}, good, lambda _: b""),
        unchecked_jws({"alg": "NONE"}, good, lambda _: b""),
        unchecked_jws({"alg": "HS256", "kid": own.kid}, good, lambda text: _hmac(text, public)),
        unchecked_jws({"alg": "HS256"}, good, lambda text: _hmac(text, public)),
        unchecked_jws({"alg": "HS256", "kid": own.kid}, good, lambda text: _hmac(text, SHARED)),
        unchecked_jws({"alg": "RS256", "kid": own.kid}, good, lambda text: _sign(text, foreign_key)),
        unchecked_jws({"alg": "HS512"}, good, lambda text: _hmac(text, SHARED, "sha512")),
        unchecked_jws({"alg": "HS256"}, good, lambda text: _hmac(text, b"")),
        unchecked_jws({"alg": "RS256", "jwk": own.jwk()}, good, lambda text: _sign(text, foreign_key)),
    ):
        await refused(believed, token)


async def test_an_issuers_key_can_not_make_a_token_of_another_app(
    believed: Identities, foreign_key: RSAPrivateKey
) -> None:
    caller = await believed.identify(bank_token(foreign_key, app_id="shop"))
    assert caller.app == "bank"
    await refused(believed, jwt.encode({"sub": "x", "app_id": "demo", "aud": "rabbitmq", "exp": soon()}, CHAT21_KEY))


async def test_a_chat21_token_for_another_service_is_refused(believed: Identities) -> None:
    claims = {"sub": "x", "app_id": "tilechat", "exp": soon()}
    for named in ({}, {"aud": "another"}, {"aud": ["x"]}):
        await refused(believed, jwt.encode({**claims, **named}, CHAT21_KEY, "HS256"))


async def test_why_a_credential_is_refused_stands_in_the_log_and_the_credential_does_not(
    believed: Identities, foreign_key: RSAPrivateKey
) -> None:
    for credential, reason in (
        ("a password typed by mistake", "no JWT"),
        (shop_token(exp=1_000_000_000), "ExpiredSignatureError"),
        (bank_token(foreign_key, aud="another"), "InvalidAudienceError"),
        (shop_token(uid="a.b"), "'uid' is not a user id"),
    ):
        with capture_logs() as logs:
            await refused(believed, credential)
        (logged,) = logs
        assert reason in logged["reason"]
        assert not any(part in str(logs) for part in credential.split("."))


async def test_a_token_that_is_very_long_or_very_deep_is_refused(believed: Identities) -> None:
    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 5000).decode()
    await refused(believed, f"{deep}.{deep}.x")
    await refused(believed, shop_token(padding="x" * MAX_TOKEN_BYTES))


async def test_what_is_no_text_is_refused(believed: Identities) -> None:
    """A lone surrogate, which no encoding of a text holds."""
    await refused(believed, "\ud800.\ud800.\ud800")


TEXT = st.one_of(
    st.text(max_size=200),
    st.lists(st.binary(max_size=60).map(lambda part: base64.urlsafe_b64encode(part).decode()), max_size=4).map(
        ".".join
    ),
    st.tuples(
        st.dictionaries(st.text(max_size=5), st.text(max_size=5)), st.dictionaries(st.text(max_size=5), st.integers())
    ).map(lambda parts: unchecked_jws({"alg": "HS256", **parts[0]}, parts[1], lambda _: b"x" * 32)),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(credential=TEXT)
async def test_whatever_is_shown_nothing_but_a_refusal_comes_out(believed: Identities, credential: str) -> None:
    await refused(believed, credential)


def unchecked_jws(header: Mapping[str, Any], claims: Mapping[str, Any], sign: Any) -> str:
    """A token as a forger writes it, without a library that would stop him."""
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{text}.{_encoded(sign(text.encode()))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _hmac(text: bytes, key: bytes, digest: str = "sha256") -> bytes:
    return hmac.digest(key, text, digest)


def _sign(text: bytes, key: RSAPrivateKey) -> bytes:
    return jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(text, key)
