"""The few MQTT 3.1.1 packets that a load client needs, as pure functions over bytes.

Names and numbers are those of the OASIS standard "MQTT Version 3.1.1", chapters 2 and 3.
"""

from struct import pack, unpack_from
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK = 2, 3, 4, 9
PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"
REFUSED_SUBSCRIPTION = 0x80
_CLEAN_SESSION, _HAS_PASSWORD, _HAS_USERNAME = 0x02, 0x40, 0x80


class Frame(NamedTuple):
    """Where one whole packet lies in a buffer."""

    first_byte: int
    body: int
    end: int


class Publish(NamedTuple):
    """A PUBLISH as received. `packet_id` is 0 for QoS 0."""

    topic: bytes
    payload: bytes
    packet_id: int


def connect(client_id: str, username: str, password: str, *, keepalive_s: int) -> bytes:
    """CONNECT with a clean session and without a will."""
    flags = _CLEAN_SESSION | _HAS_USERNAME | _HAS_PASSWORD
    head = text(b"MQTT") + pack("!BBH", 4, flags, keepalive_s)
    return _packet(0x10, head + text(client_id.encode()) + text(username.encode()) + text(password.encode()))


def subscribe(packet_id: int, topic_filter: str, qos: int) -> bytes:
    """SUBSCRIBE to one filter."""
    return _packet(0x82, pack("!H", packet_id) + text(topic_filter.encode()) + bytes((qos,)))


def publish(topic: bytes, payload: bytes, packet_id: int) -> bytes:
    """PUBLISH; `topic` comes from `text`, and packet id 0 means QoS 0."""
    if packet_id == 0:
        return _packet(0x30, topic + payload)
    return _packet(0x32, topic + pack("!H", packet_id) + payload)


def puback(packet_id: int) -> bytes:
    """PUBACK."""
    return pack("!BBH", 0x40, 2, packet_id)


def text(value: bytes) -> bytes:
    """A string field: its length in two bytes, then its bytes."""
    return pack("!H", len(value)) + value


def next_frame(buffer: bytes, start: int) -> Frame | None:
    """The packet that begins at `start`, or None while bytes of it are still to come.

    Raises ValueError for a remaining length of more than four bytes (section 2.2.3): the stream is not MQTT.
    """
    length, shift, at = 0, 0, start + 1
    while at < len(buffer):
        byte = buffer[at]
        length |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return Frame(buffer[start], at, at + length) if at + length <= len(buffer) else None
        shift += 7
        if shift > 21:
            raise ValueError("not an MQTT packet: its length takes more than four bytes")
    return None


def read_publish(buffer: bytes, frame: Frame) -> Publish:
    """The PUBLISH in `frame`."""
    (topic_length,) = unpack_from("!H", buffer, frame.body)
    at = frame.body + 2 + topic_length
    topic = buffer[frame.body + 2 : at]
    if not frame.first_byte & 0x06:
        return Publish(topic, buffer[at : frame.end], 0)
    return Publish(topic, buffer[at + 2 : frame.end], read_packet_id(buffer, at))


def read_packet_id(buffer: bytes, at: int) -> int:
    """The packet id at `at`."""
    packet_id: int = unpack_from("!H", buffer, at)[0]
    return packet_id


def _packet(first_byte: int, body: bytes) -> bytes:
    length = len(body)
    head = bytearray((first_byte,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + body
