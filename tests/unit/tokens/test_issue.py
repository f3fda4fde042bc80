"""What is in a token, and who may not have one."""

import dataclasses
import re
from pathlib import Path

import jwt
import pytest

from observer.errors import ConfigError, InvalidTopic, Refused
from observer.tokens.base import IssuedToken, Profile
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import KeyStore, generate_key
from observer.tokens.rotation import rotate_keys, write_private
from observer.tokens.scopes import chat21_scopes, standard_scopes

NOW = 1_900_000_000.75
CHAT21_KEY = b"0123456789abcdef0123456789abcdef"


def read(issued: IssuedToken, keys: KeyStore) -> dict[str, object]:
    """The claims, if the current key signed them; whatever time it is."""
    return jwt.decode(
        issued.token, keys.ring.current.verifier, ["RS256"], audience="rabbitmq", options={"verify_iat": False}
    )


@pytest.fixture
def tokens(keys: KeyStore) -> BrokerTokens:
    chat21 = Chat21Tokens(CHAT21_KEY, key_id="tiledesk-key", ttl_s=7200)
    return BrokerTokens(keys, ttl_s=600, chat21=chat21, clock=lambda: NOW)


def test_a_token_names_its_user_and_app_and_ends_at_a_whole_second(tokens: BrokerTokens, keys: KeyStore) -> None:
    """RabbitMQ 3.10 never ends a token whose `exp` is not an integer (docs/facts.md, "Token expiry")."""
    issued = tokens.issue("demo", "alice", device="phone")
    claims = read(issued, keys)
    assert re.fullmatch(r"[0-9a-f-]{36}", str(claims.pop("jti")))
    assert claims == {
        "sub": "alice",
        "app_id": "demo",
        "aud": "rabbitmq",
        "iat": 1_900_000_000,
        "exp": 1_900_000_600,
        "scope": list(standard_scopes("demo", "alice")),
    }
    assert type(claims["exp"]) is int


def test_a_token_comes_with_all_that_a_client_needs(tokens: BrokerTokens) -> None:
    issued = tokens.issue("demo", "alice", device="phone")
    assert dataclasses.replace(issued, token="") == IssuedToken(
        token="",
        app="demo",
        user="alice",
        client_id="demo.alice.phone",
        username="alice",
        subscribe="apps/demo/users/alice/#",
        publish="apps/demo/outgoing/users/alice/messages/{recipient}/outgoing",
        expires_at=1_900_000_600,
        scopes=standard_scopes("demo", "alice"),
    )


def test_the_header_names_the_key_that_signed(tokens: BrokerTokens, keys: KeyStore) -> None:
    header = jwt.get_unverified_header(tokens.issue("demo", "alice").token)
    assert (header["alg"], header["kid"]) == ("RS256", keys.ring.current.kid)


def test_a_device_that_nobody_named_can_not_be_guessed(tokens: BrokerTokens) -> None:
    """128 random bits: who knows it can cut that client off (docs/facts.md, "Taken-over client ids")."""
    devices = {tokens.issue("demo", "alice").client_id.removeprefix("demo.alice.") for _ in range(20)}
    assert len(devices) == 20
    assert all(re.fullmatch(r"[0-9a-f]{32}", device) for device in devices)


def test_no_two_tokens_have_the_same_id(tokens: BrokerTokens, keys: KeyStore) -> None:
    assert read(tokens.issue("demo", "alice"), keys)["jti"] != read(tokens.issue("demo", "alice"), keys)["jti"]


BAD_IDS = ["", "a.b", "a/b", "*", "#", "+", "a b", "a%2Ab", "$x", "é", "😀", "a\n", "a:b", "x" * 65, "a\x00"]


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
@pytest.mark.parametrize("profile", list(Profile))
def test_an_id_that_could_reach_other_topics_gets_no_token(tokens: BrokerTokens, bad: str, profile: Profile) -> None:
    """`*` reads everybody's inbox, `a` reads `a.b`'s (docs/facts.md, "Ids in topics and scopes")."""
    for app, user, device in ((bad, "alice", None), ("tilechat", bad, None)):
        with pytest.raises(InvalidTopic):
            tokens.issue(app, user, device=device, profile=profile)


@pytest.mark.parametrize("bad", BAD_IDS, ids=ascii)
def test_a_device_has_the_same_alphabet(tokens: BrokerTokens, bad: str) -> None:
    with pytest.raises(InvalidTopic, match="device id"):
        tokens.issue("demo", "alice", device=bad)


@pytest.mark.parametrize("profile", list(Profile))
def test_nobody_is_called_as_the_observer_itself(tokens: BrokerTokens, profile: Profile) -> None:
    """Limits and log lines of the broker go by that name."""
    with pytest.raises(Refused, match="observer"):
        tokens.issue("tilechat", "observer", profile=profile)


def test_after_a_rotation_the_next_key_signs(folder: Path) -> None:
    expected = rotate_keys(folder).current.kid
    issued = BrokerTokens(KeyStore(folder)).issue("demo", "alice")
    assert jwt.get_unverified_header(issued.token)["kid"] == expected


def test_a_shared_key_signs_only_where_it_is_configured(tmp_path: Path) -> None:
    for slot in ("current", "next"):
        write_private(tmp_path / f"{slot}.key", generate_key("HS256"))
    issued = BrokerTokens(KeyStore(tmp_path, "HS256")).issue("demo", "alice")
    assert jwt.get_unverified_header(issued.token)["alg"] == "HS256"
    with pytest.raises(ConfigError):
        KeyStore(tmp_path)


def test_a_chat21_token_has_the_claims_that_old_clients_and_servers_read(tokens: BrokerTokens) -> None:
    """docs/facts.md, "Chat21 tokens"."""
    issued = tokens.issue("tilechat", "USER1", profile=Profile.CHAT21)
    claims = jwt.decode(issued.token, CHAT21_KEY, ["HS256"], audience="rabbitmq", options={"verify_iat": False})
    assert re.fullmatch(r"[0-9a-f-]{36}", claims.pop("jti"))
    assert claims == {
        "sub": "USER1",
        "client_id": "USER1",
        "cid": "USER1",
        "azp": "USER1",
        "user_id": "USER1",
        "app_id": "tilechat",
        "scope": list(chat21_scopes("tilechat", "USER1")),
        "aud": ["rabbitmq", "USER1"],
        "kid": "tiledesk-key",
        "tiledesk_api_roles": "user",
        "iat": 1_900_000_000,
        "exp": 1_900_007_200,
    }
    assert jwt.get_unverified_header(issued.token)["kid"] == "tiledesk-key"


def test_a_chat21_token_comes_with_what_the_stock_client_sends(tokens: BrokerTokens) -> None:
    """User name JWT, a random UUID as client id (docs/facts.md, "Chat21 connections")."""
    issued = tokens.issue("tilechat", "USER1", profile=Profile.CHAT21)
    assert (issued.username, issued.subscribe) == ("JWT", "apps/tilechat/users/USER1/#")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", issued.client_id)


def test_the_chat21_profile_is_off_unless_configured(keys: KeyStore) -> None:
    with pytest.raises(Refused, match="off"):
        BrokerTokens(keys).issue("tilechat", "USER1", profile=Profile.CHAT21)


def test_the_chat21_profile_is_for_one_app(tokens: BrokerTokens) -> None:
    with pytest.raises(Refused, match="tilechat"):
        tokens.issue("demo", "USER1", profile=Profile.CHAT21)


def test_a_chat21_client_has_no_device(tokens: BrokerTokens) -> None:
    with pytest.raises(Refused, match="device"):
        tokens.issue("tilechat", "USER1", device="phone", profile=Profile.CHAT21)


def test_a_chat21_key_that_could_be_guessed_is_refused() -> None:
    """RFC 7518, 3.2: as long as the hash, 32 bytes."""
    for key in (b"", b"tokenKey", b"x" * 31):
        with pytest.raises(ConfigError, match=rf"tokens\.chat21\.key has {len(key)} bytes"):
            Chat21Tokens(key, key_id="tiledesk-key")


def test_the_chat21_profile_checks_its_users_itself_too() -> None:
    with pytest.raises(InvalidTopic):
        Chat21Tokens(CHAT21_KEY, key_id="tiledesk-key").issue("tilechat", "*", now=0)


def test_the_token_does_not_show_in_a_log(tokens: BrokerTokens) -> None:
    issued = tokens.issue("demo", "alice")
    assert issued.token not in repr(issued)
