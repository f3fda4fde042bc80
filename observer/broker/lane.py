"""A fast lane beside the AMQP library: deliveries and confirms are decoded here, all other frames pass on to it.

The library (aiormq) opens the connection, logs in, beats the heart, declares, consumes and closes. It reads from a
stream; this is the protocol under that stream. See `wire.py` for why.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, TypeAlias, cast

from aiormq.connection import TransportFactory
from yarl import URL

from observer.broker import wire

CHANNEL = 1  # every connection of ours has one channel
OnDelivery: TypeAlias = Callable[[wire.Delivery, dict[bytes, wire.HeaderValue], bytes, int], None]
"""Takes delivery, headers, body, and the size of the body: if that is larger, the body was not kept."""


class Lane(asyncio.StreamReaderProtocol):
    """Splits what the broker sends into frames and sorts them."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        *,
        wanted_headers: frozenset[bytes],
        on_delivery: OnDelivery,
        on_confirm: Callable[[int, bool, bool], None],
        on_lost: Callable[[int, str], None],
        max_body: int | None = None,
    ) -> None:
        """A body of more than `max_body` bytes is let go while it comes, so that no number of them fills the memory.

        `on_confirm(tag, multiple, is_ack)`; `on_lost(reply code or 0, text)` when the line is gone, maybe twice.
        """
        super().__init__(reader)
        self._on_delivery = on_delivery
        self._on_confirm = on_confirm
        self._on_lost = on_lost
        self._wanted = wanted_headers
        self._rest = b""
        self._delivery: wire.Delivery | None = None
        self._headers: dict[bytes, wire.HeaderValue] = {}
        self._max_body = max_body
        self._size = 0  # of the body, as announced
        self._missing = 0  # bytes of the body still to come
        self._body: list[bytes] = []
        self._close: tuple[int, str] = (0, "the line to the broker was cut")
        self._beaten_s = 0.0
        self._line: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._line = cast(asyncio.Transport, transport)  # uvloop's TLS transport is one, and inherits from nothing

    def write(self, payload: bytes) -> None:
        """Send whole frames, between those of the library."""
        if self._line is not None:
            self._line.write(payload)

    def abort(self) -> None:
        """Cut the line at once, without a goodbye."""
        if self._line is not None:
            self._line.abort()

    def data_received(self, data: bytes) -> None:
        frames = self._rest + data if self._rest else data
        at, size, has_taken = 0, len(frames), False
        pass_on: list[bytes] = []
        while size - at >= wire.FRAME_OVERHEAD:
            kind, channel, length = wire.FRAME.unpack_from(frames, at)
            end = at + wire.FRAME_OVERHEAD + length
            if end > size:
                break
            if channel == CHANNEL and self._take(kind, frames, at + 7, end - 1):
                has_taken = True
            else:
                if channel == 0 and kind == wire.METHOD:
                    self._note_close(frames, at + 7)
                pass_on.append(frames[at:end])
            at = end
        self._rest = frames[at:]
        if pass_on:
            super().data_received(b"".join(pass_on))
        elif has_taken:
            self._beat()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_lost(*self._close)

    def _beat(self) -> None:
        """The broker sends no heartbeats while it sends other things, and the library must not miss them."""
        now_s = self._loop.time()
        if now_s - self._beaten_s >= 1.0:
            self._beaten_s = now_s
            super().data_received(wire.HEARTBEAT_FRAME)

    def _take(self, kind: int, frames: bytes, at: int, end: int) -> bool:
        """Whether the frame was one of ours."""
        if kind == wire.METHOD:
            return self._take_method(frames, at)
        if self._delivery is None:
            return False
        if kind == wire.HEADER:
            self._size, self._headers = wire.decode_content_header(frames, at, self._wanted)
            self._missing = self._size
        else:
            if self._max_body is None or self._size <= self._max_body:
                self._body.append(frames[at:end])
            self._missing -= end - at
        if self._missing == 0:
            delivery, self._delivery = self._delivery, None
            body, self._body = self._body, []
            self._on_delivery(delivery, self._headers, body[0] if len(body) == 1 else b"".join(body), self._size)
        return True

    def _take_method(self, frames: bytes, at: int) -> bool:
        (method,) = wire.METHOD_ID.unpack_from(frames, at)
        if method == wire.DELIVER:
            self._delivery = wire.decode_deliver(frames, at + 4)
        elif method in (wire.ACK, wire.NACK):
            tag, multiple = wire.decode_confirm(frames, at + 4)
            self._on_confirm(tag, multiple, method == wire.ACK)
        else:
            self._note_close(frames, at)
            return False
        return True

    def _note_close(self, frames: bytes, at: int) -> None:
        """A closed channel or a cancelled consumer is as good as a lost line: each of ours has one purpose."""
        (method,) = wire.METHOD_ID.unpack_from(frames, at)
        if method in (wire.CONNECTION_CLOSE, wire.CHANNEL_CLOSE):
            self._close = wire.decode_close(frames, at + 4)
            self._on_lost(*self._close)
        elif method == wire.CANCEL:
            self._on_lost(0, "the broker cancelled the consumer")


class LaneTransport(TransportFactory):
    """Gives the library a stream with our lane under it."""

    def __init__(self, make_lane: Callable[[asyncio.StreamReader], Lane], context: ssl.SSLContext, server_name: str):
        self._make_lane = make_lane
        self._context = context
        self._server_name = server_name
        self._lane: Lane | None = None

    def write(self, payload: bytes) -> None:
        """Send whole frames on the line that was connected."""
        if self._lane is not None:
            self._lane.write(payload)

    def abort(self) -> None:
        """Cut the line at once, if there is one."""
        if self._lane is not None:
            self._lane.abort()

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect. Raises OSError, ssl.SSLError."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        host, port = url.host or "", url.port or 0
        transport, protocol = await loop.create_connection(
            lambda: self._make_lane(reader), host, port, ssl=self._context, server_hostname=self._server_name
        )
        self._lane = protocol
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
