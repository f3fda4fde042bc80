"""Decoding: every delivery becomes a submission, an answer to its sender, or a dead letter; nothing makes it raise."""

import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.broker.base import Incoming
from observer.message import MAX_DEPTH, Submission, message_id_of, own_fields
from observer.pipeline.decode import MAX_BYTES, Refused, decode

KEY = "apps.demo.outgoing.users.alice.messages.bob.outgoing"


def make_incoming(body: bytes | dict[str, Any] = b"{}", **changes: Any) -> Incoming:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return replace(Incoming(tag=1, routing_key=KEY, body=raw), **changes)


def submission(body: bytes | dict[str, Any] = b"{}", **changes: Any) -> Submission:
    decoded = decode(make_incoming(body, **changes))
    assert isinstance(decoded, Submission), decoded
    return decoded


def refused(body: bytes | dict[str, Any] = b"{}", **changes: Any) -> Refused:
    decoded = decode(make_incoming(body, **changes))
    assert isinstance(decoded, Refused), decoded
    return decoded


def test_a_message_is_read_from_its_topic_and_its_payload() -> None:
    body = {"text": "hello", "attributes": None, "colour": {"r": 1}}
    decoded = submission(body)
    assert (decoded.app, decoded.sender, decoded.recipient) == ("demo", "alice", "bob")
    assert decoded.body == body
    assert decoded.size == len(orjson.dumps(body))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"hello", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"text":"a"} x', "invalid_json"),
        (b'{"text":"\xff"}', "invalid_json"),
        (b"\xff\xfe{\x00}\x00", "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (b'{"n":NaN}', "invalid_json"),
        (b'{"n":Infinity}', "invalid_json"),
        (b'{"n":1e999}', "invalid_json"),
        (rb'{"text":"\ud800"}', "invalid_json"),
        (b'{"text":"\xed\xa0\x80"}', "invalid_json"),
        (b"[" * 5_000, "invalid_json"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "invalid_json"),
        (b"[" * 500_000 + b"]" * 500_000, "invalid_json"),
        (b"42", "not_an_object"),
        (b'"hello"', "not_an_object"),
        (b"[]", "not_an_object"),
        (b'[{"text":"a"}]', "not_an_object"),
        (b"null", "not_an_object"),
        (b"true", "not_an_object"),
        (b'{"a":' * MAX_DEPTH + b"{}" + b"}" * MAX_DEPTH, "too_deep"),
        (b'{"a":' + b"[" * 1_000 + b"]" * 1_000 + b"}", "too_deep"),
        (b'{"text":"' + b"x" * MAX_BYTES + b'"}', "too_large"),
        (b" " * 10_000_000, "too_large"),
        (b'{"client_message_id":1}', "invalid_client_message_id"),
        (b'{"client_message_id":""}', "invalid_client_message_id"),
        (b'{"client_message_id":["a"]}', "invalid_client_message_id"),
        (rb'{"client_message_id":"a\u0000"}', "invalid_client_message_id"),
    ],
    ids=lambda value: ascii(value[:30]) + f" {len(value)}",
)
def test_a_payload_that_is_no_message_is_answered_to_its_sender(body: bytes, code: str) -> None:
    answer = refused(body)
    assert answer.code == code
    assert answer.refusal is not None
    assert (answer.refusal.app, answer.refusal.sender, answer.refusal.recipient) == ("demo", "alice", "bob")
    assert (answer.refusal.code, answer.refusal.reason) == (answer.code, answer.reason)
    assert len(answer.reason) < 200


@pytest.mark.parametrize(
    "body",
    [b'{"a":' * (MAX_DEPTH - 1) + b"{}" + b"}" * (MAX_DEPTH - 1), b'{"a":[' + b"[]," * 2 * MAX_DEPTH + b"[]]}"],
    ids=["as deep as may be", "many side by side"],
)
def test_many_brackets_are_no_depth_of_their_own(body: bytes) -> None:
    assert isinstance(decode(make_incoming(body)), Submission)


def test_the_size_limit_is_a_parameter_and_counts_bytes() -> None:
    assert isinstance(decode(make_incoming(b'{"a":1}'), max_bytes=7), Submission)
    assert isinstance(decode(make_incoming(b'{"a":1}'), max_bytes=6), Refused)


@pytest.mark.parametrize(
    ("routing_key", "code"),
    [
        ("apps.demo.outgoing.users.alice", "invalid_topic"),
        ("apps.demo.outgoing.users.alice.messages.bob", "invalid_topic"),
        ("apps.demo.outgoing.users.alice.messages.bob.outgoing.x", "invalid_topic"),
        ("apps.demo.outgoing.users.alice.messages.bo b.outgoing", "invalid_id"),
        ("apps.demo.outgoing.users.alice.messages.*.outgoing", "invalid_id"),
        ("apps.demo.outgoing.users.alice.messages.😀.outgoing", "invalid_id"),
        (f"apps.demo.outgoing.users.alice.messages.{'b' * 300}.outgoing", "invalid_id"),
    ],
)
def test_a_bad_topic_is_answered_to_whoever_its_first_levels_name(routing_key: str, code: str) -> None:
    answer = refused(routing_key=routing_key)
    assert answer.code == code
    assert answer.refusal is not None
    assert (answer.refusal.app, answer.refusal.sender, answer.refusal.recipient) == ("demo", "alice", None)


@pytest.mark.parametrize(
    "routing_key",
    [
        "",
        "apps.demo.outgoing",
        "apps.demo.outgoing.users.*.messages.bob.outgoing",
        "apps.demo.outgoing.users.al ice.messages.bob.outgoing",
        f"apps.demo.outgoing.users.{'a' * 65}.messages.bob.outgoing",
        f"apps.{'d' * 33}.outgoing.users.alice.messages.bob.outgoing",
    ],
)
def test_what_nobody_can_be_told_about_carries_no_refusal(routing_key: str) -> None:
    assert refused(routing_key=routing_key).refusal is None


def test_invalid_utf8_is_refused_even_where_the_topic_looks_right() -> None:
    answer = refused(is_valid_text=False)
    assert answer.code == "invalid_utf8"
    assert answer.refusal is not None
    assert answer.refusal.sender == "alice"
    unknown = refused(is_valid_text=False, routing_key="apps.demo.outgoing.users.\\xff.messages.bob.outgoing")
    assert unknown.refusal is None


def test_of_a_repeated_key_the_last_one_counts() -> None:
    assert submission(b'{"text":"one","text":"two"}').body == {"text": "two"}


def test_an_integer_beyond_64_bits_becomes_the_nearest_double() -> None:
    assert submission(b'{"n":18446744073709551615}').body == {"n": 2**64 - 1}
    assert submission(b'{"n":1' + b"0" * 30 + b"}").body == {"n": 1e30}


def test_the_clients_id_makes_the_message_id_whatever_else_differs() -> None:
    first = submission({"client_message_id": "c-1", "text": "a"}, broker_time_ms=1)
    again = submission({"client_message_id": "c-1", "text": "b"}, broker_time_ms=2, client_id="other")
    assert first.message_id == again.message_id == message_id_of("demo", "alice", "c-1")
    assert first.client_message_id == "c-1"
    assert first.fingerprint is None


def test_another_sender_never_gets_the_same_message_id() -> None:
    mallory = KEY.replace("alice", "mallory")
    body = {"client_message_id": "c-1"}
    assert submission(body).message_id != submission(body, routing_key=mallory).message_id


TEXT = b'{"text":"a"}'
STAMPED: dict[str, Any] = {"broker_time_ms": 1_700_000_000_000, "client_id": "alice.phone"}


def test_the_brokers_stamp_makes_the_message_id_where_the_client_gave_none() -> None:
    first = submission(TEXT, **STAMPED)
    again = submission(TEXT, **STAMPED, is_redelivered=True, attempt=3, tag=9)
    assert first.message_id == again.message_id
    assert first.fingerprint is None
    assert uuid.UUID(first.message_id).version == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"broker_time_ms": 1_700_000_000_001},
        {"client_id": "alice.laptop"},
        {"client_id": None},
        {"routing_key": KEY.replace("bob", "carol")},
        {"body": b'{"text":"b"}'},
    ],
    ids=str,
)
def test_whatever_the_broker_stamped_differently_is_another_message(changes: dict[str, Any]) -> None:
    assert submission(TEXT, **STAMPED).message_id != submission(**{"body": TEXT} | STAMPED | changes).message_id


def test_a_message_without_any_identity_gets_one_by_chance_and_a_fingerprint_that_stays() -> None:
    first, again = submission({"text": "a"}), submission({"text": "a"}, is_redelivered=True)
    assert first.message_id != again.message_id
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint is not None
    assert first.fingerprint != submission({"text": "b"}).fingerprint
    assert first.fingerprint != submission({"text": "a"}, routing_key=KEY.replace("bob", "carol")).fingerprint


def test_a_message_that_we_parked_keeps_the_id_that_it_was_given() -> None:
    again = submission({"text": "a"}, message_id="m-1", attempt=2)
    assert (again.message_id, again.fingerprint, again.is_unsure) == ("m-1", None, False)
    named = submission({"text": "a", "client_message_id": "c-1"}, message_id="m-1", attempt=2)
    assert named.message_id == message_id_of("demo", "alice", "c-1")


def test_only_what_the_broker_delivers_again_may_be_stored_under_another_id() -> None:
    """What an operator replays may be hours old: an equal text that was stored meanwhile is another message."""
    assert submission({"text": "a"}, is_redelivered=True).is_unsure
    assert not submission({"text": "a"}, is_replayed=True).is_unsure
    assert not submission({"text": "a"}, attempt=2).is_unsure
    assert not submission(TEXT, **STAMPED, is_redelivered=True).is_unsure


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),
        ({"is_redelivered": True}, True),
        ({"is_replayed": True}, True),
        ({"attempt": 2}, True),
        ({"attempt": 1}, False),
    ],
    ids=str,
)
def test_a_delivery_that_was_here_before_is_a_repeat(changes: dict[str, Any], expected: bool) -> None:
    assert submission(**changes).is_repeat is expected


keys = st.text() | st.lists(
    st.sampled_from(["apps", "demo", "outgoing", "users", "alice", "messages", "bob", "", "*", "\udcff"]), max_size=10
).map(".".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
bodies = (
    st.binary()
    | json_values.map(orjson.dumps)
    | st.dictionaries(st.sampled_from(["client_message_id", "timestamp", "text"]), json_values).map(orjson.dumps)
    | st.text('{}[]":,\\u0123e.-+ntf', max_size=40).map(str.encode)
)


@settings(max_examples=300)
@given(
    incoming=st.builds(
        Incoming,
        tag=st.just(1),
        routing_key=st.just(KEY) | keys,
        body=bodies,
        is_redelivered=st.booleans(),
        attempt=st.integers(1, 5),
        is_valid_text=st.booleans(),
        broker_time_ms=st.none() | st.integers(),
        client_id=st.none() | st.text(),
    )
)
def test_no_delivery_makes_the_decoder_raise_and_every_submission_can_be_stored(incoming: Incoming) -> None:
    decoded = decode(incoming)
    if isinstance(decoded, Submission):
        assert orjson.loads(own_fields(decoded.body)).keys() <= decoded.body.keys()
    else:
        assert decoded.reason
        assert decoded.refusal is None or decoded.refusal.code == decoded.code
