"""The few AMQP 0-9-1 frames of the hot path, between bytes and our types. Pure; `lane.py` does the I/O.

The client library (aiormq) speaks the rest of the protocol. These frames are ours for two reasons: a user can put
bytes into a topic or a property name that the library's decoder dies of (docs/facts.md, "Bytes that are no text"),
and a batch of publishes costs several times less when it is marshalled as one piece (docs/decisions.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct, pack

METHOD, HEADER, BODY = 1, 2, 3
DELIVER, ACK, NACK = 0x003C003C, 0x003C0050, 0x003C0078
CONNECTION_CLOSE, CHANNEL_CLOSE, CANCEL = 0x000A0032, 0x00140028, 0x003C001E
FRAME_END = b"\xce"
FRAME_OVERHEAD = 8
HEARTBEAT_FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"

FRAME = Struct(">BHI")
METHOD_ID = Struct(">I")
_DELIVERY = Struct(">QB")
_CONFIRM = Struct(">QB")
_CONTENT = Struct(">HHQH")
_UINT32 = Struct(">I")
_INT64 = Struct(">q")

_BASIC_PUBLISH = pack(">I", 0x003C0028) + b"\x00\x00"
_PERSISTENT = b"\x02"
# Property flags in the order in which they are sent; only these two are ever sent by us.
_HEADERS_FLAG, _DELIVERY_MODE_FLAG = 0x2000, 0x1000
_CONTENT_TYPE_FLAG, _CONTENT_ENCODING_FLAG = 0x8000, 0x4000

_FIXED_SIZES = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"f": 4, b"l": 8, b"L": 8, b"d": 8}
_FIXED_SIZES |= {b"T": 8, b"D": 5, b"V": 0}
_INTEGERS = frozenset({b"b", b"s", b"I", b"l"})

HeaderValue = int | str | bytes


class RawList(bytes):
    """A header that is a list, undecoded: the broker's own `x-death`, never a user's (his are strings)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a basic.deliver method frame says."""

    tag: int
    is_redelivered: bool
    routing_key: bytes


def decode_deliver(frame: bytes, at: int) -> Delivery:
    """The arguments of basic.deliver, which begin at `at`."""
    at += 1 + frame[at]  # consumer tag
    tag, is_redelivered = _DELIVERY.unpack_from(frame, at)
    at += 9
    at += 1 + frame[at]  # exchange
    return Delivery(tag, bool(is_redelivered), frame[at + 1 : at + 1 + frame[at]])


def decode_confirm(frame: bytes, at: int) -> tuple[int, bool]:
    """(delivery tag, multiple) of basic.ack or basic.nack."""
    tag, bits = _CONFIRM.unpack_from(frame, at)
    return tag, bool(bits & 1)


def decode_close(frame: bytes, at: int) -> tuple[int, str]:
    """(reply code, reply text) of connection.close or channel.close."""
    code = (frame[at] << 8) | frame[at + 1]
    return code, frame[at + 3 : at + 3 + frame[at + 2]].decode(errors="backslashreplace")


def decode_content_header(frame: bytes, at: int, wanted: frozenset[bytes]) -> tuple[int, dict[bytes, HeaderValue]]:
    """(body size, those of the `wanted` headers that are there).

    A wanted header comes as int, bytes or RawList; the others are passed over undecoded, whatever bytes they hold.
    """
    _, _, size, flags = _CONTENT.unpack_from(frame, at)
    if not flags & _HEADERS_FLAG:
        return size, {}
    at += 14
    if flags & _CONTENT_TYPE_FLAG:
        at += 1 + frame[at]
    if flags & _CONTENT_ENCODING_FLAG:
        at += 1 + frame[at]
    end = at + 4 + _UINT32.unpack_from(frame, at)[0]
    return size, _pick(frame, at + 4, end, wanted)


def _pick(frame: bytes, at: int, end: int, wanted: frozenset[bytes]) -> dict[bytes, HeaderValue]:
    found: dict[bytes, HeaderValue] = {}
    while at < end:
        name = frame[at + 1 : at + 1 + frame[at]]
        at += 1 + len(name)
        kind = frame[at : at + 1]
        at += 1
        size = _FIXED_SIZES.get(kind)
        start = at
        if size is None:  # a long string, a byte array, a list or a table: a length, then that many bytes
            start = at + 4
            size = _UINT32.unpack_from(frame, at)[0]
        if name in wanted:
            value = frame[start : start + size]
            if kind in _INTEGERS:
                found[name] = int.from_bytes(value, "big", signed=True)
            elif kind in (b"S", b"x"):
                found[name] = value
            elif kind == b"A":
                found[name] = RawList(value)
        at = start + size
    return found


def encode_publish(
    channel: int,
    exchange: str,
    routing_key: str,
    body: bytes,
    *,
    frame_max: int,
    headers: Mapping[str, HeaderValue] | None = None,
) -> bytes:
    """basic.publish with its content, persistent (docs/facts.md, "Persistent copies")."""
    exchange_bytes, key_bytes = exchange.encode(), routing_key.encode()
    method = b"".join(
        (_BASIC_PUBLISH, bytes((len(exchange_bytes),)), exchange_bytes, bytes((len(key_bytes),)), key_bytes, b"\x00")
    )
    if headers:
        table = _encode_table(headers)
        properties = _CONTENT.pack(60, 0, len(body), _HEADERS_FLAG | _DELIVERY_MODE_FLAG) + table + _PERSISTENT
    else:
        properties = _CONTENT.pack(60, 0, len(body), _DELIVERY_MODE_FLAG) + _PERSISTENT
    parts = [
        FRAME.pack(METHOD, channel, len(method)),
        method,
        FRAME_END,
        FRAME.pack(HEADER, channel, len(properties)),
        properties,
        FRAME_END,
    ]
    room = frame_max - FRAME_OVERHEAD
    for start in range(0, len(body), room):
        piece = body[start : start + room]
        parts += (FRAME.pack(BODY, channel, len(piece)), piece, FRAME_END)
    return b"".join(parts)


def _encode_table(headers: Mapping[str, HeaderValue]) -> bytes:
    entries = bytearray()
    for name, value in headers.items():
        name_bytes = name.encode()
        entries += bytes((len(name_bytes),)) + name_bytes
        if isinstance(value, int):
            entries += b"l" + _INT64.pack(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            entries += b"S" + _UINT32.pack(len(data)) + data
    return _UINT32.pack(len(entries)) + bytes(entries)


def encode_ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """basic.ack."""
    return FRAME.pack(METHOD, channel, 13) + METHOD_ID.pack(ACK) + _CONFIRM.pack(tag, multiple) + FRAME_END


def encode_requeue(channel: int, tag: int) -> bytes:
    """basic.nack with requeue: gives a delivery back; on RabbitMQ 4.3 that does not count as a try."""
    return FRAME.pack(METHOD, channel, 13) + METHOD_ID.pack(NACK) + _CONFIRM.pack(tag, 2) + FRAME_END
