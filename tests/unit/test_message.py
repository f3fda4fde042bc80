"""The wire form of a message: the client's fields are kept, the stamped ones are the observer's alone."""

import json
import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from observer.errors import InvalidPayload
from observer.message import (
    MAX_CLIENT_TIMESTAMP_MS,
    MAX_DEPTH,
    STAMPED_FIELDS,
    Message,
    Publication,
    Refusal,
    client_message_id,
    client_timestamp,
    derived_id,
    encode_copy,
    encode_refusal,
    is_deeper_than,
    message_id_of,
    own_fields,
    sole_owner,
    with_followers,
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=15
)
names = st.text(max_size=8) | st.sampled_from(STAMPED_FIELDS) | st.sampled_from(["text", "attributes", "metadata"])
bodies = st.dictionaries(names, values, max_size=12)


def make_message(body: bytes, *, client_timestamp_ms: int | None = None) -> Message:
    return Message(
        message_id="id-1",
        app="demo",
        sender="alice",
        recipient="bob",
        body=body,
        timestamp_ms=1_700_000_000_000,
        owners=("alice", "bob"),
        shard=0,
        offset=0,
        client_timestamp_ms=client_timestamp_ms,
    )


def pairs(payload: bytes) -> list[tuple[str, Any]]:
    """The fields of a JSON object in their order, repeated ones too; an inner object as such a list again."""
    decoded = json.loads(payload, object_pairs_hook=lambda found: found)
    assert isinstance(decoded, list)
    return decoded


@given(body=bodies, stamp=st.none() | st.integers(1, MAX_CLIENT_TIMESTAMP_MS), owner=st.sampled_from(["alice", "bob"]))
@example({}, None, "alice")
@example({"sender": "mallory", "status": 150, "text": "}"}, None, "alice")
@example(dict.fromkeys(STAMPED_FIELDS, "forged"), 1, "bob")
def test_a_copy_is_the_clients_fields_in_their_order_and_then_the_stamped_ones(
    body: dict[str, Any], stamp: int | None, owner: str
) -> None:
    stored = own_fields(body)
    copy = encode_copy(make_message(stored, client_timestamp_ms=stamp), owner)
    stamped: dict[str, Any] = {
        "message_id": "id-1",
        "sender": "alice",
        "recipient": "bob",
        "app_id": "demo",
        "timestamp": 1_700_000_000_000,
    }
    stamped |= {} if stamp is None else {"client_timestamp": stamp}
    stamped |= {"status": 100 if owner == "alice" else 150}
    own = {name: value for name, value in body.items() if name not in STAMPED_FIELDS}
    assert orjson.loads(copy) == own | stamped
    assert [name for name, _ in pairs(copy)] == [*own, *stamped]


@given(body=bodies)
def test_what_is_stored_can_be_opened_and_read_again(body: dict[str, Any]) -> None:
    stored = own_fields(body)
    assert stored.startswith(b"{")
    assert stored.endswith(b"}")
    assert own_fields(orjson.loads(stored)) == stored


def test_a_copy_keeps_an_empty_and_a_null_field_as_they_were_sent() -> None:
    """Stock clients send both, and rely on getting them back (docs/facts.md, "Chat21 messages")."""
    copy = encode_copy(make_message(own_fields({"attributes": None, "metadata": ""})), "alice")
    assert copy.startswith(b'{"attributes":null,"metadata":"","message_id":')


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (1_700_000_000_000, 1_700_000_000_000),
        (MAX_CLIENT_TIMESTAMP_MS, MAX_CLIENT_TIMESTAMP_MS),
        (MAX_CLIENT_TIMESTAMP_MS + 1, None),
        (2**64 - 1, None),
        (0, None),
        (-1, None),
        (1.5, None),
        (1e12, None),
        (True, None),
        ("1700000000000", None),
        (None, None),
        ([1], None),
    ],
    ids=repr,
)
def test_a_clients_timestamp_is_kept_only_if_it_is_a_moment_in_milliseconds(value: object, expected: object) -> None:
    assert client_timestamp({"timestamp": value}) == expected


def test_without_a_timestamp_there_is_none() -> None:
    assert client_timestamp({}) is None


@pytest.mark.parametrize("value", ["1", "x" * 128, "a b", "ünï-😀", "a.b/c#+*"])
def test_a_client_message_id_is_any_short_printable_string(value: str) -> None:
    assert client_message_id({"client_message_id": value}) == value


@pytest.mark.parametrize("body", [{}, {"client_message_id": None}], ids=str)
def test_no_client_message_id_and_a_null_one_are_the_same(body: dict[str, Any]) -> None:
    assert client_message_id(body) is None


@pytest.mark.parametrize("value", ["", "x" * 129, "a\nb", "a\x00", "\u202e", 1, 1.5, True, [], {}, ["a"]], ids=ascii)
def test_any_other_client_message_id_is_refused(value: object) -> None:
    with pytest.raises(InvalidPayload) as refused:
        client_message_id({"client_message_id": value})
    assert refused.value.code == "invalid_client_message_id"


@given(parts=st.lists(st.binary(max_size=12), min_size=1, max_size=4))
def test_a_derived_id_is_a_uuid_of_version_8_and_always_the_same(parts: list[bytes]) -> None:
    derived = uuid.UUID(derived_id("kind", *parts))
    assert derived.version == 8
    assert derived.variant == uuid.RFC_4122
    assert str(derived) == derived_id("kind", *parts)


two_lists = st.lists(st.sampled_from([b"", b"a", b"aa", b"1:a", b":", b"1", b"1:a1:a"]), max_size=4)


@given(one=two_lists, other=two_lists)
@example([b"ab", b"c"], [b"a", b"bc"])
@example([b"a", b""], [b"", b"a"])
@example([b"a", b"b"], [b"a1:b"])
def test_different_parts_never_run_together_to_the_same_id(one: list[bytes], other: list[bytes]) -> None:
    assert (derived_id("kind", *one) == derived_id("kind", *other)) == (one == other)


def test_ids_of_different_kinds_differ() -> None:
    assert derived_id("client", b"a") != derived_id("stamp", b"a")


def test_a_message_id_is_of_the_app_and_the_sender_too() -> None:
    """A stored message keeps its id across versions, so the scheme may never change."""
    assert message_id_of("demo", "alice", "1") == "264352ab-4d67-87ce-8432-a2d381f49193"
    ids = {message_id_of(*names) for names in [("demo", "alice", "1"), ("demo", "bob", "1"), ("other", "alice", "1")]}
    assert len(ids) == 3


@pytest.mark.parametrize("levels", [1, 2, 3, MAX_DEPTH, MAX_DEPTH + 1, 1000])
def test_depth_counts_objects_and_lists_and_the_body_itself(levels: int) -> None:
    body: dict[str, Any] = {}
    for _ in range(levels - 1):
        body = {"a": body}
    assert not is_deeper_than(body, levels)
    assert is_deeper_than(body, levels - 1)


def test_a_body_at_the_depth_limit_can_be_stored() -> None:
    body: dict[str, Any] = {"a": {"a": []}}
    for _ in range(MAX_DEPTH - 3):
        body = {"a": body}
    assert not is_deeper_than(body, MAX_DEPTH)
    assert orjson.loads(own_fields(body)) == body


def test_a_refusal_tells_the_code_the_reason_and_which_message_it_was() -> None:
    refusal = Refusal("demo", "alice", "rate_limited", "slower", "bob", "c-1", 1.23456)
    assert orjson.loads(encode_refusal(refusal)) == {
        "status": -100,
        "code": "rate_limited",
        "reason": "slower",
        "recipient": "bob",
        "client_message_id": "c-1",
        "retry_after_s": 1.235,
    }


def test_a_refusal_leaves_out_what_it_does_not_know() -> None:
    refusal = Refusal("demo", "alice", "invalid_json", "no JSON")
    assert orjson.loads(encode_refusal(refusal)) == {"status": -100, "code": "invalid_json", "reason": "no JSON"}


def test_a_body_never_shows_in_the_repr_of_a_message() -> None:
    assert "secret" not in repr(make_message(b'{"text":"secret"}'))


@pytest.mark.parametrize(
    ("owners", "sole"), [(("alice", "bob"), None), (("bob", "alice"), None), (("alice",), "alice"), (("bob",), "bob")]
)
def test_a_message_is_one_sides_alone_or_in_both_timelines(owners: tuple[str, ...], sole: str | None) -> None:
    assert sole_owner(replace(make_message(b"{}"), owners=owners)) == sole


@pytest.mark.parametrize("owners", [(), ("eve",), ("alice", "alice"), ("alice", "eve"), ("alice", "bob", "eve")])
def test_a_message_with_other_owners_is_a_mistake_of_ours(owners: tuple[str, ...]) -> None:
    """The stores could not keep who may see it."""
    with pytest.raises(ValueError, match="owners of message id-1"):
        sole_owner(replace(make_message(b"{}"), owners=owners))


def test_what_goes_to_the_same_inbox_behind_a_refused_copy_goes_again_with_it() -> None:
    publications = [Publication(key, b"") for key in ("a", "b", "a", "c", "b", "a")]
    assert with_followers(publications, [2]) == [2, 5]
    assert with_followers(publications, [4, 0]) == [0, 2, 4, 5]
    assert with_followers(publications, []) == []
