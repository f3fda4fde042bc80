"""Publishes batches with confirms, over a connection of its own.

A connection of its own, because the broker may close it over somebody else's subscription: on 4.3 a clean-session
QoS 1 subscriber that leaves makes publishes to his inbox fail, by a nack or by a 506 that takes the whole connection
(docs/facts.md, "Subscribers that leave"). Deliveries in hand must not suffer for that.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from observer.broker import names, wire
from observer.broker.connect import BrokerOptions
from observer.broker.publishing_line import PublishingLine
from observer.errors import BrokerUnavailable
from observer.message import Publication, with_followers

NACK_DELAYS_S = (0.01, 0.05, 0.2, 0.5, 1.0, 2.0)
"""Waits between the tries of a publication that the broker refused, by default.

A broker that shuts down or starts refuses for longer than one bad subscriber does."""
RECONNECT_DELAYS_S = (0.02, 0.1, 0.5)


class ConfirmingPublisher:
    """The Publisher port. Use as an async context manager; publishes one batch at a time."""

    def __init__(
        self,
        options: BrokerOptions,
        name: str,
        *,
        on_nack: Callable[[int], None],
        on_reconnect: Callable[[], None],
        nack_delays_s: Sequence[float] = NACK_DELAYS_S,
    ) -> None:
        """`on_nack(how many)` and `on_reconnect()` are told for the metrics."""
        self._options = options
        self._name = name
        self._on_nack = on_nack
        self._on_reconnect = on_reconnect
        self._nack_delays_s = nack_delays_s
        self._line: PublishingLine | None = None
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
        if not publications:
            return ()
        async with self._turn:
            waiting = list(range(len(publications)))
            for delay_s in (*self._nack_delays_s, None):
                tried = [publications[index] for index in waiting]
                refused = await self._publish_once(exchange, tried, headers)
                if not refused or delay_s is None:
                    break
                self._on_nack(len(refused))
                waiting = [waiting[index] for index in with_followers(tried, refused)]
                await asyncio.sleep(delay_s)
            return [waiting[index] for index in refused]

    async def _publish_once(
        self, exchange: str, publications: Sequence[Publication], headers: Mapping[str, wire.HeaderValue] | None
    ) -> Sequence[int]:
        """Indexes that the broker refused. A lost line is forgiven a few times: one bad subscriber may have lost it."""
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
        line = await self._open_line()
        try:
            return await line.send(exchange, publications, headers)
        except BaseException:
            self._line = None
            await line.close()
            raise

    async def _open_line(self) -> PublishingLine:
        if self._line is not None and self._line.is_lost:
            self._on_reconnect()
            line, self._line = self._line, None
            await line.close()
        if self._line is None:
            self._line = await PublishingLine.open(self._options, self._name)
        return self._line
