"""The frames of the hot path, checked against the client library's own encoder and decoder."""

import pamqp.body
import pamqp.commands
import pamqp.frame
import pamqp.header
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from observer.broker import wire

FRAME_MAX = 4096
AT = 7  # where a frame's payload begins


def unmarshalled(data: bytes) -> list[object]:
    frames: list[object] = []
    while data:
        consumed, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 1
        assert consumed <= FRAME_MAX
        frames.append(frame)
        data = data[consumed:]
    return frames


@given(key=st.text(max_size=60), body=st.binary(max_size=3 * FRAME_MAX))
@example("k", b"x" * 2 * FRAME_MAX)
def test_a_publish_is_what_the_library_reads_as_one(key: str, body: bytes) -> None:
    """Method, header, and as many body frames as the frame size asks for."""
    method, header, *bodies = unmarshalled(wire.encode_publish(1, "amq.topic", key, body, frame_max=FRAME_MAX))

    assert isinstance(method, pamqp.commands.Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory) == ("amq.topic", key, False)
    assert isinstance(header, pamqp.header.ContentHeader)
    assert (header.body_size, header.properties.delivery_mode) == (len(body), 2)
    assert b"".join(one.value for one in bodies if isinstance(one, pamqp.body.ContentBody)) == body


def test_headers_of_a_publish_are_read_back_with_their_types() -> None:
    headers: dict[str, wire.HeaderValue] = {"x-observer-attempt": 3, "x-observer-reason": "größer", "raw": b"\xff"}
    data = wire.encode_publish(1, "", "key", b"{}", frame_max=FRAME_MAX, headers=headers)
    start = data.index(wire.FRAME_END) + 1 + AT
    size, found = wire.decode_content_header(
        data, start, frozenset({b"x-observer-attempt", b"x-observer-reason", b"raw", b"absent"})
    )

    assert size == 2
    assert found == {b"x-observer-attempt": 3, b"x-observer-reason": "größer".encode(), b"raw": b"\xff"}


@pytest.mark.parametrize(
    "other",
    [True, 1, 2**40, 1.5, None, "text", bytearray(b"bytes"), ["a", 1], {"inner": {"x-observer-attempt": 9}}],
    ids=lambda value: type(value).__name__,
)
def test_headers_of_every_type_are_passed_over(other: object) -> None:
    """What we do not want may be of any type; it is neither decoded nor mistaken for what we want."""
    header = pamqp.header.ContentHeader(
        body_size=7,
        properties=pamqp.commands.Basic.Properties(
            content_type="application/json",
            content_encoding="utf-8",
            headers={"other": other, "timestamp_in_ms": 1_700_000_000_000},  # type: ignore[dict-item]
            message_id="m",
        ),
    )
    data = pamqp.frame.marshal(header, 1)

    assert wire.decode_content_header(data, AT, frozenset({b"timestamp_in_ms", b"x-observer-attempt"})) == (
        7,
        {b"timestamp_in_ms": 1_700_000_000_000},
    )


@pytest.mark.parametrize(
    ("kind", "size"),
    [*zip("tbBsuIifVdlLTD", (1, 1, 1, 2, 2, 4, 4, 4, 0, 8, 8, 8, 8, 5), strict=True)],
)
def test_a_field_is_as_long_as_its_type_says(kind: str, size: int) -> None:
    """Those that RabbitMQ writes ("AMQP 0-9-1 Errata", 3), also where the library never writes one."""
    other = b"\x05other" + kind.encode() + b"\xff" * size
    table = other + b"\x04mine" + b"s\xff\xfe" + other
    properties = (60).to_bytes(2, "big") + bytes(10) + b"\x20\x00" + len(table).to_bytes(4, "big") + table
    assert wire.decode_content_header(bytes(AT) + properties, AT, frozenset({b"mine"})) == (0, {b"mine": -2})


def test_a_list_comes_undecoded_and_cannot_be_mistaken_for_a_string() -> None:
    headers = {"x-death": [{"reason": "expired"}]}
    header = pamqp.header.ContentHeader(properties=pamqp.commands.Basic.Properties(headers=headers))  # type: ignore[arg-type]
    _, found = wire.decode_content_header(pamqp.frame.marshal(header, 1), AT, frozenset({b"x-death"}))
    raw = found[b"x-death"]
    assert isinstance(raw, wire.RawList)
    assert raw.endswith(b"expired")


def test_giving_back_is_a_nack_that_asks_for_the_queue() -> None:
    (nack,) = unmarshalled(wire.encode_requeue(1, 2**40))
    assert isinstance(nack, pamqp.commands.Basic.Nack)
    assert (nack.delivery_tag, nack.multiple, nack.requeue) == (2**40, False, True)


def test_a_delivery_keeps_bytes_that_are_no_text() -> None:
    """The library's decoder dies of them (docs/facts.md, "Bytes that are no text")."""
    arguments = b"\x03tag" + (7).to_bytes(8, "big") + b"\x01" + b"\x09amq.topic" + b"\x02\xff\xfe"

    assert wire.decode_deliver(b"\x00" * AT + arguments, AT) == wire.Delivery(7, True, b"\xff\xfe")


@pytest.mark.parametrize("multiple", [True, False])
def test_an_acknowledgement_is_what_the_library_reads_as_one(multiple: bool) -> None:
    (ack,) = unmarshalled(wire.encode_ack(1, 2**40, multiple=multiple))
    assert isinstance(ack, pamqp.commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (2**40, multiple)


def test_a_close_is_read_with_its_code_and_text() -> None:
    close = pamqp.commands.Connection.Close(541, "INTERNAL_ERROR", 0, 0)
    assert wire.decode_close(pamqp.frame.marshal(close, 0), AT + 4) == (541, "INTERNAL_ERROR")
