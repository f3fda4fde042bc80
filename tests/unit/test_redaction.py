"""Redaction: no token, password, private key or message body survives, wherever it stands; everything else does."""

import time

import pytest

from observer.redaction import MASK, MAX_EXCEPTION_LENGTH, mask_text, mask_value

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLV8"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"bad token {JWT} in header", f"bad token {MASK} in header"),
        (f"x={JWT},next", f"x={MASK},next"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {MASK}"),
        ("basic dXNlcjpwYXNz", f"basic {MASK}"),
        ("mongodb://user:hunter2@a,b:27018/chat", f"mongodb://{MASK}@a,b:27018/chat"),
        ("mongodb://user:hun/t@er2@a/chat", f"mongodb://{MASK}@a/chat"),
        ("amqps://observer:x@h/?auth=external", f"amqps://{MASK}@h/?auth=external"),
        ("GET /x?access_token=abc&y=1", f"GET /x?access_token={MASK}&y=1"),
        ("{'password': 'hunter2', 'a': 1}", f"{{'password': '{MASK}', 'a': 1}}"),
        ('{"client_secret": "hunter2"}', f'{{"client_secret": "{MASK}"}}'),
        (f"key: {PEM} end", f"key: {MASK} end"),
        (PEM[:-20], MASK),
    ],
)
def test_what_is_secret_is_masked_in_free_text(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "apps.acme.outgoing.users.eyeball-user.messages.bob.outgoing",
        "invalid token: signature has expired",
        "https://idp.example/jwks",
        "alice@example.com wrote",
        "message 0e7f has 3 tries",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_text(text) == text


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "access_token",
        "password",
        "Authorization",
        "client_secret",
        "api_key",
        "body",
        "payload",
        "text",
        "key",
    ],
)
def test_whatever_stands_under_a_private_key_is_masked(key: str) -> None:
    assert mask_value(key, "harmless") == MASK
    assert mask_value(key, 42) == MASK
    assert mask_value("outer", {"inner": [{key: "harmless"}]}) == {"inner": [{key: MASK}]}


def test_ids_and_numbers_stay() -> None:
    shown = {"shard": 3, "sender": "alice", "peer": "bob", "routing_key": "apps.a.b", "is_active": True, "none": None}
    assert mask_value("x", shown) == shown


def test_bytes_are_never_shown() -> None:
    """They are payloads, as often as not."""
    assert mask_value("raw", b"hello") == "<5 bytes>"


def test_an_exception_among_the_values_is_shown_masked() -> None:
    assert mask_value("error", ValueError("mongodb://u:p@h/db")) == f"mongodb://{MASK}@h/db"


def test_a_long_value_is_cut_and_says_so() -> None:
    assert mask_text("x" * 60_000, max_length=10) == "x" * 10 + "… (60000 characters)"


@pytest.mark.parametrize("part", ["a.", "a://", "-eyJ", "a", "passw", "'\": ", "eyJ" + "a" * 90 + "-", "bearer "])
def test_a_hostile_text_costs_no_more_than_a_moment(part: str) -> None:
    """CPU time, not time: about 0.1 s is needed, and 5 s where a pattern goes back over what it has read."""
    start = time.process_time()
    mask_text(part * (60_000 // len(part)), max_length=MAX_EXCEPTION_LENGTH)
    assert time.process_time() - start < 2
