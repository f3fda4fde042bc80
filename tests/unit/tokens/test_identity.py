"""Whom we believe: every credential that does not hold is refused, and all with the same words."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from observer.tokens.base import Caller, CallerRole, Credential, Profile
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.claims import MAX_TOKEN_BYTES
from observer.tokens.identity import ApiKey, Identities
from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import KeyStore
from observer.tokens.rotation import confirm_next, rotate_keys
from tests.unit.tokens.credentials import (
    API_KEY,
    CHAT21_KEY,
    SHARED,
    bank_token,
    identities,
    own_token,
    refused,
    shop_token,
    signed_hs256,
    signed_rs256,
    soon,
    unchecked_jws,
)


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


async def test_a_rotation_is_followed_where_nobody_shows_anything_but_an_api_key(
    folder: Path, foreign_key: RSAPrivateKey
) -> None:
    """Else a server that asks for its users' tokens would get them signed with a key that the broker has forgotten."""
    now = [0.0]
    keys = KeyStore(folder, clock=lambda: now[0])
    believed = identities(keys, foreign_key)
    newest = rotate_keys(folder).current
    now[0] = 10.0
    await believed.identify(API_KEY)
    assert keys.ring.current.kid == newest.kid


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
        unchecked_jws({"alg": "HS256", "kid": own.kid}, good, lambda text: signed_hs256(text, public)),
        unchecked_jws({"alg": "HS256"}, good, lambda text: signed_hs256(text, public)),
        unchecked_jws({"alg": "HS256", "kid": own.kid}, good, lambda text: signed_hs256(text, SHARED)),
        unchecked_jws({"alg": "RS256", "kid": own.kid}, good, lambda text: signed_rs256(text, foreign_key)),
        unchecked_jws({"alg": "HS512"}, good, lambda text: signed_hs256(text, SHARED, "sha512")),
        unchecked_jws({"alg": "HS256"}, good, lambda text: signed_hs256(text, b"")),
        unchecked_jws({"alg": "RS256", "jwk": own.jwk()}, good, lambda text: signed_rs256(text, foreign_key)),
    ):
        await refused(believed, token)


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
