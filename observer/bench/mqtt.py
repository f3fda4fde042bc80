"""An MQTT 3.1.1 client that costs a benchmark next to nothing: one asyncio protocol, no threads, no queues.

The load runs on the same cores as what it measures, so its own price is part of every figure: 8 to 10 µs of CPU a
packet here, 54 to 60 with paho-mqtt on the same machine (docs/benchmarks.md). That is why this is not a library.
It does what a load client needs and no more: no reconnection, no storage, no QoS 2.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol, cast

from observer.bench import packets
from observer.errors import BrokerUnavailable, Refused

KEEPALIVE_S = 60
_LOGIN_TIMEOUT_S = 30
_MAX_PACKET_ID = 65_535


@dataclass(frozen=True, slots=True)
class Login:
    """With what one client connects, and what it subscribes to."""

    client_id: str
    username: str
    password: str = field(repr=False)
    subscribe: str


class Listener(Protocol):
    """What a client tells its owner, from within the event loop."""

    def on_message(self, topic: bytes, payload: bytes) -> None:
        """A message came in."""
        ...

    def on_acknowledged(self, number: int) -> None:
        """The broker took over the publish that was given this number."""
        ...

    def on_closed(self, reason: str) -> None:
        """The connection ended without `close` having been called."""
        ...


class MqttClient(asyncio.Protocol):
    """One connection. Made by `open_client`."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._packet_id = 0
        self._unacknowledged: dict[int, int] = {}
        self._answer: asyncio.Future[bytes] | None = None
        self._is_closing = False

    @property
    def is_open(self) -> bool:
        """Whether the line stands."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def can_publish(self) -> bool:
        """Whether there is a line, and a packet id left: 65,535 messages may wait for their PUBACK."""
        return self.is_open and len(self._unacknowledged) < _MAX_PACKET_ID

    def publish(self, topic: bytes, payload: bytes, number: int, *, qos: int) -> None:
        """Send one message (only if `can_publish`); `topic` comes from `packets.text`.

        `number` comes back when a message of QoS 1 is acknowledged.
        """
        assert self._transport is not None  # noqa: S101 - only an open client is ever handed out
        packet_id = self._next_packet_id(number) if qos else 0
        self._transport.write(packets.publish(topic, payload, packet_id))

    def ping(self) -> None:
        """Tell the broker that we live; the load calls it more often than every KEEPALIVE_S."""
        if self._transport is not None and self.is_open:
            self._transport.write(packets.PINGREQ_PACKET)

    def close(self) -> None:
        """Say goodbye and hang up."""
        self._is_closing = True
        if self._transport is not None and self.is_open:
            self._transport.write(packets.DISCONNECT_PACKET)
            self._transport.close()

    async def ask(self, packet: bytes) -> bytes:
        """Send a packet and return the body of its CONNACK or SUBACK. Raises BrokerUnavailable when cut off."""
        assert self._transport is not None  # noqa: S101 - as in publish
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(packet)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio tells us the line is up."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio tells us the line is gone."""
        reason = str(exc) if exc else "the broker closed the connection"
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokerUnavailable(reason))
        elif not self._is_closing:
            self._listener.on_closed(reason)

    def data_received(self, data: bytes) -> None:
        """Take every whole packet out of what came; acknowledge all of them with one write."""
        buffer = self._rest + data if self._rest else data
        at = 0
        acknowledgements: list[bytes] = []
        while frame := packets.next_frame(buffer, at):
            self._take(buffer, frame, acknowledgements)
            at = frame.end
        self._rest = buffer[at:]
        if acknowledgements and self._transport is not None:
            self._transport.write(b"".join(acknowledgements))

    def _take(self, buffer: bytes, frame: packets.Frame, acknowledgements: list[bytes]) -> None:
        match frame.first_byte >> 4:
            case packets.PUBLISH:
                topic, payload, packet_id = packets.read_publish(buffer, frame)
                if packet_id:
                    acknowledgements.append(packets.puback(packet_id))
                self._listener.on_message(topic, payload)
            case packets.PUBACK:
                number = self._unacknowledged.pop(packets.read_packet_id(buffer, frame.body))
                self._listener.on_acknowledged(number)
            case packets.CONNACK | packets.SUBACK if self._answer is not None and not self._answer.done():
                self._answer.set_result(buffer[frame.body : frame.end])

    def _next_packet_id(self, number: int) -> int:
        while True:
            self._packet_id = self._packet_id % _MAX_PACKET_ID + 1
            if self._packet_id not in self._unacknowledged:
                self._unacknowledged[self._packet_id] = number
                return self._packet_id


async def open_client(host: str, port: int, login: Login, listener: Listener, *, inbox_qos: int) -> MqttClient:
    """A client that is connected and subscribed.

    Raises BrokerUnavailable when there is no broker, Refused when it turns the login or the subscription down.
    """
    loop = asyncio.get_running_loop()
    try:
        _, client = await loop.create_connection(lambda: MqttClient(listener), host, port)
    except OSError as exc:
        raise BrokerUnavailable(f"no MQTT broker at {host}:{port}: {exc}") from exc
    try:
        async with asyncio.timeout(_LOGIN_TIMEOUT_S):
            await _log_in(client, login, inbox_qos)
    except TimeoutError as exc:
        client.close()
        raise BrokerUnavailable(f"the broker at {host}:{port} took a login and did not answer in time") from exc
    except BaseException:
        client.close()
        raise
    return client


async def _log_in(client: MqttClient, login: Login, inbox_qos: int) -> None:
    hello = packets.connect(login.client_id, login.username, login.password, keepalive_s=KEEPALIVE_S)
    code = (await client.ask(hello))[1]
    if code:
        raise Refused(
            f"the broker refused client {login.client_id!r} with CONNACK code {code}; if "
            "it does not know the key that signed the token, name the settings of its set-up with --config"
        )
    granted = (await client.ask(packets.subscribe(1, login.subscribe, inbox_qos)))[2]
    if granted == packets.REFUSED_SUBSCRIPTION:
        raise Refused(f"the broker refused client {login.client_id!r} the subscription {login.subscribe!r}")
