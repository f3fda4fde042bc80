"""Publishes batches with confirms, over a connection of its own.

A connection of its own, because the broker may close it over somebody else's subscription: on 4.3 a clean-session
QoS 1 subscriber that leaves makes publishes to his inbox fail, by a nack or by a 506 that takes the whole connection
(rabbitmq-facts, "Found later"). Deliveries in hand must not suffer for that.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from observer.broker import names, wire
from observer.broker.connect import BrokerOptions, Line, connect
from observer.broker.lane import CHANNEL
from observer.errors import BrokerUnavailable
from observer.message import Publication

RETRY_DELAYS_S = (0.01, 0.05, 0.2)
"""Waits between the tries of a publication that the broker refused; after them the caller decides."""
RECONNECT_DELAYS_S = (0.02, 0.1, 0.5)


class Confirms:
    """Which publications of one batch the broker has answered for. Tags count from `first`."""

    def __init__(self, first: int, count: int, done: asyncio.Future[None]) -> None:
        self._first = first
        self._is_open = bytearray(b"\x01") * count
        self._open_count = count
        self._lowest = 0
        self._done = done
        self.refused: list[int] = []

    def note(self, tag: int, multiple: bool, is_ack: bool) -> None:
        """Take one basic.ack or basic.nack into account."""
        last = tag - self._first
        for index in range(self._lowest, last + 1) if multiple else (last,):
            if 0 <= index < len(self._is_open) and self._is_open[index]:
                self._is_open[index] = 0
                self._open_count -= 1
                if not is_ack:
                    self.refused.append(index)
        if multiple:
            self._lowest = max(self._lowest, last + 1)
        if self._open_count == 0 and not self._done.done():
            self._done.set_result(None)


class ConfirmingPublisher:
    """The Publisher port. Use as an async context manager; publishes one batch at a time."""

    def __init__(
        self, options: BrokerOptions, name: str, *, on_nack: Callable[[int], None], on_reconnect: Callable[[], None]
    ) -> None:
        """`on_nack(how many)` and `on_reconnect()` are told for the metrics."""
        self._options = options
        self._name = name
        self._on_nack = on_nack
        self._on_reconnect = on_reconnect
        self._line: Line | None = None
        self._next_tag = 1
        self._confirms: Confirms | None = None
        self._answered: asyncio.Future[None] | None = None
        self._lost_reason: str | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            await self._line.close()

    async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
        """See the port. Refused ones are tried again here, on a fresh connection if the broker closed this one."""
        return await self.publish_to(names.OUT_EXCHANGE, publications)

    async def publish_to(
        self, exchange: str, publications: Sequence[Publication], headers: Mapping[str, wire.HeaderValue] | None = None
    ) -> Sequence[int]:
        """As `publish`, on any exchange and with headers."""
        async with self._turn:
            waiting = list(range(len(publications)))
            for delay_s in (*RETRY_DELAYS_S, None):
                refused = await self._publish_once(exchange, [publications[index] for index in waiting], headers)
                waiting = [waiting[index] for index in sorted(refused)]  # as they were: the order of an inbox
                if not waiting or delay_s is None:
                    break
                self._on_nack(len(waiting))
                await asyncio.sleep(delay_s)
            return waiting

    async def _publish_once(
        self, exchange: str, publications: Sequence[Publication], headers: Mapping[str, wire.HeaderValue] | None
    ) -> Sequence[int]:
        """Indexes that the broker refused. One lost line is forgiven: who lost it may be one bad subscriber."""
        for delay_s in (*RECONNECT_DELAYS_S, None):
            try:
                return await self._send(exchange, publications, headers)
            except BrokerUnavailable:
                if delay_s is None:
                    raise
                await asyncio.sleep(delay_s)
        raise AssertionError("unreachable: the last delay raises")

    async def _send(
        self, exchange: str, publications: Sequence[Publication], headers: Mapping[str, wire.HeaderValue] | None
    ) -> Sequence[int]:
        if not publications:
            return ()
        line = await self._open_line()
        answered = self._answered = asyncio.get_running_loop().create_future()
        confirms = self._confirms = Confirms(self._next_tag, len(publications), answered)
        self._next_tag += len(publications)
        frames = [
            wire.encode_publish(CHANNEL, exchange, one.routing_key, one.body, frame_max=line.frame_max, headers=headers)
            for one in publications
        ]
        try:
            async with asyncio.timeout(self._options.confirm_timeout_s):
                await line.write(b"".join(frames))
                await answered
        except TimeoutError as error:
            await self._drop_line()
            raise BrokerUnavailable(f"no publisher confirm within {self._options.confirm_timeout_s} s") from error
        except asyncio.CancelledError:
            await self._drop_line()  # its confirms would be taken for those of the next batch
            raise
        return confirms.refused

    async def _open_line(self) -> Line:
        if self._line is not None and self._lost_reason is None:
            return self._line
        if self._line is not None:
            self._on_reconnect()
            await self._drop_line()
        self._lost_reason = None
        self._next_tag = 1
        self._line = await connect(
            self._options, self._name, on_confirm=self._note_confirm, on_lost=self._note_lost, confirms=True
        )
        return self._line

    async def _drop_line(self) -> None:
        line, self._line = self._line, None
        self._confirms = None
        if line is not None:
            await line.close()

    def _note_confirm(self, tag: int, multiple: bool, is_ack: bool) -> None:
        if self._confirms is not None:
            self._confirms.note(tag, multiple, is_ack)

    def _note_lost(self, code: int, text: str) -> None:
        self._lost_reason = f"{code} {text}"
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(
                BrokerUnavailable(f"the broker closed the publishing connection: {code} {text}")
            )
