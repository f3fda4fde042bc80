"""The consuming end of one shard queue, over a connection of its own: some inputs make the broker close it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from observer.broker import names, wire
from observer.broker.base import Incoming, Outcome
from observer.broker.connect import BrokerOptions, Line, connect, line_errors
from observer.broker.headers import OF_A_SHARD, Headers, client_id, message_id, number, received_ms
from observer.broker.lane import CHANNEL
from observer.broker.publisher import ConfirmingPublisher
from observer.errors import BrokerUnavailable
from observer.message import Publication

REQUEST_TIMEOUT_S = 5.0
BATCH_BYTES = 524_288
"""Bodies of a batch may sum up to about this: decoded, they take up to twenty-five times as much memory, and time."""


def incoming(delivery: wire.Delivery, headers: Headers, body: bytes, size: int) -> Incoming:
    """One delivery in the pipeline's terms; `size` is that of the body as it was sent."""
    try:
        routing_key, is_valid_text = delivery.routing_key.decode(), True
    except UnicodeDecodeError:
        routing_key, is_valid_text = delivery.routing_key.decode(errors="backslashreplace"), False
    attempt = number(headers, b"x-observer-attempt")
    return Incoming(
        tag=delivery.tag,
        routing_key=routing_key,
        body=body,
        is_redelivered=delivery.is_redelivered,
        returns=number(headers, b"x-delivery-count") or 0,
        attempt=1 if attempt is None else attempt,
        message_id=message_id(headers),
        is_replayed=number(headers, b"x-observer-replay") is not None,
        is_valid_text=is_valid_text,
        broker_time_ms=received_ms(headers),
        client_id=client_id(headers),
        left_out=size if size > len(body) else 0,
    )


class AmqpShardQueue:
    """The ShardQueue port. Use as an async context manager."""

    def __init__(
        self,
        options: BrokerOptions,
        shard: int,
        *,
        prefetch: int,
        publisher: ConfirmingPublisher,
        name: str,
        clock: Callable[[], int],
        max_body: int | None = None,
    ) -> None:
        """`publisher` carries what is retried or dead-lettered; the caller owns and closes it.

        `clock` tells milliseconds since 1970. A body of more than `max_body` bytes is not kept.
        """
        self._options = options
        self._shard = shard
        self._prefetch = prefetch
        self._publisher = publisher
        self._name = name
        self._clock = clock
        self._max_body = max_body
        self._line: Line | None = None
        self._waiting: deque[Incoming] = deque()
        self._arrived = asyncio.Event()
        self._unsettled: dict[int, int] = {}
        """tag → when the broker got it, or if that is not known when we did; in the order of the tags."""
        self._lost: BrokerUnavailable | None = None
        self._is_interrupted = False
        self.lost_code = 0
        """AMQP reply code with which the broker closed the line; 0 if it was cut."""

    async def __aenter__(self) -> Self:
        queue = names.shard_queue(self._shard)
        self._line = await connect(
            self._options,
            self._name,
            on_delivery=self._note_delivery,
            on_lost=self._note_lost,
            wanted_headers=OF_A_SHARD,
            max_body=self._max_body,
        )
        try:
            with line_errors(f"cannot consume {queue}"):
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await self._line.consume(queue, f"shard-{self._shard}", prefetch=self._prefetch)
        except BaseException:
            await self._line.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is None:
            return
        try:
            if self._lost is None:
                with suppress(BrokerUnavailable), line_errors("leaving the shard"):
                    async with asyncio.timeout(REQUEST_TIMEOUT_S):  # a round trip: the last acknowledgements are read
                        await self._line.channel.basic_qos(prefetch_count=self._prefetch)
        finally:
            await self._line.close()

    @property
    def is_lost(self) -> bool:
        """Whether the line is gone; what was not settled will be delivered again."""
        return self._lost is not None

    async def receive(self, limit: int) -> Sequence[Incoming]:
        """See the port."""
        while not self._waiting or self._is_interrupted:
            if self._lost is not None:
                raise self._lost
            if self._is_interrupted:
                return ()
            self._arrived.clear()
            await self._arrived.wait()
        return self.take(limit)

    def take(self, limit: int) -> Sequence[Incoming]:
        """See the port."""
        taken: list[Incoming] = []
        size = 0
        while self._waiting and len(taken) < limit and size < BATCH_BYTES:
            taken.append(self._waiting.popleft())
            size += len(taken[-1].body)
        return taken

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest of what is in hand came to the broker, or if that is not known to us; None: nothing is."""
        return next(iter(self._unsettled.values()), None)

    def interrupt(self) -> None:
        """See the port."""
        self._is_interrupted = True
        self._arrived.set()

    def holds(self, delivery: Incoming) -> bool:
        """See the port."""
        return delivery.tag in self._unsettled

    async def park(self, delivery: Incoming, outcome: Outcome, *, reason: str, message_id: str | None) -> None:
        """See the port: a copy with its history in the headers, confirmed; only then is the original let go.

        Raises BrokerUnavailable: then the delivery comes again. One that an earlier try has settled is passed over.
        """
        if not self.holds(delivery):
            return
        loss = f"; its body of {delivery.left_out} bytes was not kept" if delivery.left_out else ""
        headers: dict[str, wire.HeaderValue] = {"x-observer-reason": reason[:400] + loss}
        if outcome is Outcome.DEAD_LETTER:
            exchange, key = names.DEAD_EXCHANGE, names.DEAD_ROUTING_KEY
            headers |= {"x-observer-routing-key": delivery.routing_key, "x-observer-attempt": delivery.attempt}
        else:
            exchange = names.retry_queue(names.RETRY_DELAYS_S[min(delivery.attempt, len(names.RETRY_DELAYS_S)) - 1])
            key = delivery.routing_key
            headers["x-observer-attempt"] = delivery.attempt + 1
        if message_id is not None:
            headers["x-observer-id"] = message_id
        if delivery.broker_time_ms is not None:  # the broker stamps our copy anew; an operator is shown the first stamp
            headers["x-observer-time-ms"] = delivery.broker_time_ms
        if delivery.client_id is not None:
            headers["x-opt-mqtt-client-id"] = delivery.client_id
        if await self._publisher.publish_to(exchange, [Publication(key, delivery.body)], headers):
            raise BrokerUnavailable(f"the broker refused a message for {exchange}")
        await self.acknowledge([delivery])

    async def acknowledge(self, deliveries: Sequence[Incoming]) -> None:
        """See the port. Raises BrokerUnavailable: then these deliveries come again.

        What an earlier try has settled already is passed over: to the broker, a tag that it does not know is an error.
        One frame for all of them where no older delivery is still open, else a frame each.
        """
        tags = sorted(one.tag for one in deliveries if self.holds(one))
        if not tags:
            return
        for tag in tags:
            del self._unsettled[tag]
        line = self._open_line()
        if next(iter(self._unsettled), tags[-1] + 1) > tags[-1]:
            line.write(wire.encode_ack(CHANNEL, tags[-1], multiple=True))
        else:
            line.write(b"".join(wire.encode_ack(CHANNEL, tag, multiple=False) for tag in tags))

    def _open_line(self) -> Line:
        if self._lost is not None:
            raise self._lost
        if self._line is None:
            raise BrokerUnavailable("the shard queue is not open")
        return self._line

    def _note_delivery(
        self, delivery: wire.Delivery, headers: dict[bytes, wire.HeaderValue], body: bytes, size: int
    ) -> None:
        one = incoming(delivery, headers, body, size)
        self._unsettled[delivery.tag] = one.broker_time_ms or self._clock()
        self._waiting.append(one)
        self._arrived.set()

    def _note_lost(self, code: int, text: str) -> None:
        if self._lost is None:
            self.lost_code = code
            self._lost = BrokerUnavailable(f"lost the line of shard {self._shard}: {code} {text}")
            self._waiting.clear()  # the broker will deliver them again, perhaps to another process
            self._arrived.set()
