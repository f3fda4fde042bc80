"""What the headers of a delivery say, and which of them to believe."""

from dataclasses import replace

import pytest

from observer import topics
from observer.broker.base import Incoming
from observer.broker.headers import OF_A_SHARD, Headers
from observer.broker.shard_queue import incoming
from observer.broker.wire import Delivery, encode_publish

KEY = topics.outgoing("demo", "alice", "bob")
PLAIN = Incoming(7, KEY, b"{}")


def read(headers: Headers, *, routing_key: bytes = KEY.encode(), size: int = 2) -> Incoming:
    return incoming(Delivery(7, False, routing_key), headers, b"{}", size)


def test_without_headers_it_is_a_first_delivery_of_unknown_time() -> None:
    assert read({}) == PLAIN


def test_a_user_cannot_forge_what_only_we_and_the_broker_note() -> None:
    """An MQTT 5 property of his arrives as a header of any name, but always as a string."""
    assert read(dict.fromkeys(OF_A_SHARD, b"9")) == PLAIN


def test_what_we_and_the_broker_noted_is_read() -> None:
    noted: Headers = {b"x-observer-attempt": 3, b"timestamp_in_ms": 50, b"x-opt-mqtt-client-id": b"demo.alice.\xff"}
    assert read(noted) == replace(PLAIN, attempt=3, broker_time_ms=50, client_id="demo.alice.\\xff")


def test_a_client_id_of_any_length_fits_into_the_headers_of_a_copy_of_ours() -> None:
    """MQTT allows 65,535 bytes, each an escape of four; headers do not go over several frames."""
    noted: Headers = {b"timestamp_in_ms": 50, b"x-opt-mqtt-client-id": b"\xff" * 65_535}
    client_id = read(noted).client_id
    assert client_id is not None
    frame = encode_publish(1, "chat.dead", "dead", b"", frame_max=131_072, headers={"x-opt-mqtt-client-id": client_id})
    assert len(frame) < 4096, "the smallest frame that AMQP allows a broker to insist on"


def test_the_first_stamp_counts_for_the_broker_stamps_each_copy_of_ours_anew() -> None:
    assert read({b"x-observer-time-ms": 50, b"timestamp_in_ms": 90}).broker_time_ms == 50
    assert read({b"x-observer-time-ms": 0, b"timestamp_in_ms": 90}).broker_time_ms == 0


def test_what_an_operator_sent_again_is_told_from_what_the_broker_delivers_again() -> None:
    assert read({b"x-observer-replay": 1}) == replace(PLAIN, is_replayed=True)
    assert incoming(Delivery(7, True, KEY.encode()), {}, b"{}", 2) == replace(PLAIN, is_redelivered=True)


def test_an_id_counts_only_beside_our_own_count_of_tries() -> None:
    """A user can set the one, as a string, and not the other, an integer."""
    assert read({b"x-observer-attempt": 2, b"x-observer-id": b"m-1"}) == replace(PLAIN, attempt=2, message_id="m-1")
    assert read({b"x-observer-id": b"m-1"}) == PLAIN


@pytest.mark.parametrize("client_id", ["漢" * 100, "a" * 255 + "é", "\x00" * 300])
def test_a_client_id_that_a_copy_of_ours_carries_is_read_as_the_same_again(client_id: str) -> None:
    """A message id may be made of it: another one would be another message."""
    first = read({b"timestamp_in_ms": 50, b"x-opt-mqtt-client-id": client_id.encode()[:-1]}).client_id
    assert first is not None
    assert read({b"timestamp_in_ms": 50, b"x-opt-mqtt-client-id": first.encode()}).client_id == first


def test_a_topic_that_is_no_text_arrives_with_escapes() -> None:
    found = read({}, routing_key=b"apps.\xff")
    assert (found.routing_key, found.is_valid_text) == ("apps.\\xff", False)


def test_a_body_that_was_not_kept_leaves_its_size() -> None:
    assert read({}, size=3).left_out == 3
