"""The packets of the load client, against the standard's own examples and against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.bench import packets


def test_connect_asks_for_a_clean_session_with_user_name_and_password() -> None:
    packet = packets.connect("c1", "alice", "secret", keepalive_s=60)
    assert packet == b"\x10\x1d\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02c1\x00\x05alice\x00\x06secret"


def test_subscribe_names_one_filter_and_its_qos() -> None:
    assert packets.subscribe(1, "a/#", 1) == b"\x82\x08\x00\x01\x00\x03a/#\x01"


def test_a_publish_of_qos_0_has_no_packet_id() -> None:
    assert packets.publish(packets.text(b"a/b"), b"hi", 0) == b"\x30\x07\x00\x03a/bhi"


def test_puback_is_four_bytes() -> None:
    assert packets.puback(0x1234) == b"\x40\x02\x12\x34"


@given(
    topic=st.binary(min_size=1, max_size=300),
    payload=st.binary(max_size=20_000),
    packet_id=st.integers(0, 65_535),
)
def test_a_publish_is_read_as_it_was_written(topic: bytes, payload: bytes, packet_id: int) -> None:
    packet = packets.publish(packets.text(topic), payload, packet_id)
    frame = packets.next_frame(packet, 0)
    assert frame is not None
    assert frame.end == len(packet)
    assert packets.read_publish(packet, frame) == (topic, payload, packet_id)


@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=5), cut=st.integers(0, 2000))
def test_a_packet_counts_only_when_all_of_it_is_there(sizes: list[int], cut: int) -> None:
    stream = b"".join(packets.publish(packets.text(b"t"), bytes(size), 1) for size in sizes)
    cut = min(cut, len(stream) - 1)
    at = 0
    while frame := packets.next_frame(stream[:cut], at):
        assert frame.end <= cut
        at = frame.end
    whole = packets.next_frame(stream, at)
    assert whole is not None
    assert whole.end > cut


def test_a_length_of_more_than_four_bytes_is_no_mqtt() -> None:
    with pytest.raises(ValueError, match="not an MQTT packet"):
        packets.next_frame(b"\x30\xff\xff\xff\xff\x01", 0)
