"""What the headers of a dead letter say, and which of them to believe."""

from datetime import UTC, datetime

from pamqp import encode
from pamqp.common import FieldTable

from observer import topics
from observer.broker import wire
from observer.broker.dead_letters import dead_letter

KEY = topics.outgoing("demo", "alice", "bob")


def deaths(routing_key: bytes) -> wire.RawList:
    """`x-death` as RabbitMQ writes it: the newest death first."""
    stand_in = "@" * len(routing_key)
    entry: FieldTable = {
        "count": 6,
        "reason": "delivery_limit",
        "queue": "chat.in.0",
        "time": datetime(2026, 1, 1, tzinfo=UTC),
        "exchange": "chat.shard",
        "routing-keys": [stand_in],
    }
    older: FieldTable = {"reason": "expired"}
    raw = encode.field_array([entry, older])
    return wire.RawList(raw[4:].replace(stand_in.encode(), routing_key))


def test_the_newest_death_says_why_where_and_when() -> None:
    letter = dead_letter(1, {b"x-death": deaths(KEY.encode())}, b"{}")
    assert (letter.routing_key, letter.reason, letter.came_from) == (KEY, "delivery_limit", "chat.in.0")
    assert letter.dead_since_ms == 1_767_225_600_000
    assert letter.attempt is None
    assert letter.why_not_replayable is None


def test_a_topic_that_is_no_text_is_shown_with_escapes_and_not_replayed() -> None:
    letter = dead_letter(1, {b"x-death": deaths(b"apps.demo.outgoing.\xff")}, b"{}")
    assert letter.routing_key == "apps.demo.outgoing.\\xff"
    assert letter.why_not_replayable is not None


def test_a_user_cannot_forge_where_a_message_came_from() -> None:
    """His headers are strings; `x-death` of the broker is a list, `x-observer-attempt` of ours an integer."""
    forged = {b"x-death": bytes(deaths(KEY.encode())), b"x-observer-attempt": b"1"}
    letter = dead_letter(1, forged | {b"x-observer-routing-key": KEY.encode()}, b"{}")
    assert (letter.routing_key, letter.attempt) == ("", None)
    assert letter.why_not_replayable == "its topic is not known"


def test_a_client_id_counts_only_beside_the_brokers_own_stamp() -> None:
    """Both are set by the same broker version; without the stamp the client id is a user's own header."""
    headers: dict[bytes, wire.HeaderValue] = {b"x-death": deaths(KEY.encode()), b"x-opt-mqtt-client-id": b"alice.phone"}
    assert dead_letter(1, headers, b"{}").client_id is None
    assert dead_letter(1, headers | {b"timestamp_in_ms": 7}, b"{}").client_id == "alice.phone"


def test_an_id_stays_the_same_from_one_listing_to_the_next_and_differs_between_messages() -> None:
    headers: dict[bytes, wire.HeaderValue] = {b"x-observer-attempt": 5, b"x-observer-routing-key": KEY.encode()}
    assert dead_letter(1, headers, b"a").id == dead_letter(2, headers, b"a").id
    assert dead_letter(1, headers, b"a").id != dead_letter(1, headers, b"b").id


def test_a_history_that_cannot_be_read_leaves_a_letter_that_can() -> None:
    letter = dead_letter(1, {b"x-death": wire.RawList(b"?")}, b"{}")
    assert (letter.reason, letter.routing_key) == ("unknown", "")
