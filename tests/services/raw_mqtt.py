"""An MQTT client that does what no library would: bytes that are no text, topics of any length, a hasty farewell."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from struct import pack

from observer.bench import packets
from observer.tokens.base import IssuedToken

TIMEOUT_S = 20.0


class RawClient:
    """One MQTT connection; every publish waits for its PUBACK."""

    def __init__(self, line: socket.socket, version: int) -> None:
        self._line = line
        self._version = version
        self._buffer = b""
        self._packet_id = 0

    def publish(self, topic: bytes, payload: bytes = b"{}", *, property_name: bytes | None = None) -> None:
        """PUBLISH with QoS 1; `property_name` adds an MQTT 5 user property of that name."""
        self._packet_id += 1
        if self._version == 5:
            name = b"" if property_name is None else b"\x26" + packets.text(property_name) + packets.text(b"value")
            payload = bytes((len(name),)) + name + payload
        self._line.sendall(packets.publish(packets.text(topic), payload, self._packet_id))
        self._wait_for(packets.PUBACK)

    def subscribe(self, topic_filter: str) -> None:
        """SUBSCRIBE with QoS 1 and wait for the SUBACK; messages that come before it are passed over."""
        self._line.sendall(packets.subscribe(1, topic_filter, 1))
        self._wait_for(packets.SUBACK, passing_over=packets.PUBLISH)

    def connect(self, issued: IssuedToken) -> None:
        """CONNECT and wait for the CONNACK."""
        packet = packets.connect(issued.client_id, issued.username, issued.token, keepalive_s=60)
        if self._version == 5:  # the same packet with level 5 and, behind the keep-alive, no properties
            start = packet.index(b"\x00\x04MQTT")
            body = packet[start : start + 6] + b"\x05" + packet[start + 7 : start + 10] + b"\x00" + packet[start + 10 :]
            packet = b"\x10" + _length(len(body)) + body
        self._line.sendall(packet)
        self._wait_for(packets.CONNACK)

    def _wait_for(self, kind: int, *, passing_over: int | None = None) -> None:
        while (found := self._next_kind()) == passing_over:
            pass
        assert found == kind

    def _next_kind(self) -> int:
        while (frame := packets.next_frame(self._buffer, 0)) is None:
            data = self._line.recv(65_536)
            assert data, "the broker closed the connection"
            self._buffer += data
        self._buffer = self._buffer[frame.end :]
        return frame.first_byte >> 4


@contextmanager
def raw_client(issued: IssuedToken, port: int, *, version: int = 4) -> Iterator[RawClient]:
    """A connected raw client; `version` 4 is MQTT 3.1.1, 5 is MQTT 5."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S) as line:
        client = RawClient(line, version)
        client.connect(issued)
        yield client


def _length(value: int) -> bytes:
    encoded = b""
    while value > 0x7F:
        encoded += pack("!B", value & 0x7F | 0x80)
        value >>= 7
    return encoded + pack("!B", value)
