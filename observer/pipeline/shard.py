"""One shard's loop: take what is there, carry it through, go on; and what to do when something fails.

| what fails | what is done |
|---|---|
| a service is away (Unavailable) | the same batch again, in place, with growing waits: nothing overtakes it |
| the broker refuses a copy of a message | the same for that message; the others of its batch are done |
| ... for longer than HOLD_S | all is given back to the broker, and the shard waits until the service answers |
| the line to the broker | a new one; the broker delivers again what was not settled |
| the line, at every delivery of one message | one delivery at a time, until the delivery limit takes that message out |
| the process, at every delivery of one message | the same, once the broker says that a message came several times |
| another process writes the shard (ShardLost) | everything is let go; if the shard is still ours, we begin again |
| a message (anything else) | the batch is halved until it is alone; a few tries, here and by the broker; dead-letter |
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from observer.broker.base import Incoming, Publisher
from observer.broker.shard_queue import AmqpShardQueue
from observer.errors import BrokerUnavailable, ConfigError, ShardLost, StoreUnavailable, Unavailable
from observer.message import Publication
from observer.pipeline.batch import Batch
from observer.pipeline.numbering import Numbering
from observer.pipeline.process import Services, give_up
from observer.pipeline.settle import shown_key
from observer.pipeline.trips import Trips

log = structlog.get_logger()

WAITS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
HOLD_S = 1200.0  # below the broker's limit of 30 minutes for an acknowledgement; giving back costs each delivery a try
TRIES_IN_PLACE = 3
POISON_CODES = frozenset({541, 501, 502})
"""What the broker closes a line with over a message that it cannot write (docs/facts.md, "Topics over 255 bytes")."""
SUSPECT_AFTER_RETURNS = 3
"""A message that kills the process leaves no other trace than that the broker had to take it back."""
CAREFUL_EXTRA = 50
"""New deliveries taken one at a time behind those that had come before: one culprit follows another."""
CAREFUL_WAIT_S = 1.0
PROBE = Publication("observer.probe", b"")  # nobody subscribes to it


@dataclass(slots=True)
class ShardLoop:
    """Runs one shard while it is this process's. `open_queue(prefetch)` makes its queue, to be entered."""

    shard: int
    open_queue: Callable[[int], AmqpShardQueue]
    trips: Trips
    publisher: Publisher
    """For what does not travel: probes, and the end of a message that fails."""
    services: Services
    prefetch: int
    batch_max: int
    _is_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _is_stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _queue: AmqpShardQueue | None = None
    _careful_left: int = 0
    """So many new deliveries are still taken one at a time."""
    _failures: int = 0
    _resumed_ms: int | None = None

    def want(self) -> None:
        """The shard is this process's from now on."""
        self._is_wanted.set()

    def release(self) -> None:
        """The shard is another's: end the batch in hand, give the rest back."""
        self._is_wanted.clear()
        self._interrupt()

    def stop(self) -> None:
        """As `release`, for good: `run` returns."""
        self._is_stopping.set()
        self._is_wanted.set()
        self._interrupt()

    @property
    def is_wanted(self) -> bool:
        """Whether the shard is this process's."""
        return self._is_wanted.is_set()

    @property
    def is_consuming(self) -> bool:
        """Whether the shard's queue is open."""
        return self._queue is not None and not self._queue.is_lost

    def lag_s(self) -> float:
        """For how many seconds the oldest message in hand has waited; 0 if none is."""
        oldest_ms = self._queue.oldest_ms if self._queue is not None else None
        return 0.0 if oldest_ms is None else max(0.0, (self.services.now_ms() - oldest_ms) / 1000)

    async def run(self) -> None:
        """Consume whenever the shard is ours, until `stop`. Raises only what waiting cannot mend."""
        structlog.contextvars.bind_contextvars(shard=self.shard)
        while not self._is_stopping.is_set():
            await self._is_wanted.wait()
            if self._is_stopping.is_set():
                return
            try:
                await self._consume()
                self._failures = 0
            except ShardLost as error:
                log.warning("shard_lost", reason=str(error))
                await self._pause()
            except StoreUnavailable as error:
                log.warning("shard_waits_for_store", reason=str(error))
                await self._until_store_answers()
            except BrokerUnavailable as error:
                log.warning("shard_line_lost", reason=str(error), is_careful=self._careful_left > 0)
                self.services.metrics.count_reconnect("consumer")
                await self._until_broker_confirms()

    async def _consume(self) -> None:
        prefetch = 1 if self._careful_left else self.prefetch
        queue = self.open_queue(prefetch)
        try:
            async with queue:
                self._queue, self._resumed_ms = queue, None
                self.services.metrics.set_shard_active(self.shard, True)
                log.info("shard_opened", prefetch=prefetch)
                try:
                    await self._take_batches(queue)
                finally:
                    self._queue = None
                    self.services.metrics.set_shard_active(self.shard, False)
        finally:
            self._note_poison(queue)  # also of a line that was lost while it was opened: the first delivery comes then

    async def _take_batches(self, queue: AmqpShardQueue) -> None:
        """One delivery at a time goes on until so many new ones have come.

        To leave before would break the order (docs/facts.md, "Deliveries given back"). For the same reason a process
        that begins has everything in hand: if it dies too, all comes back in order.
        """
        numbering: Numbering | None = None
        is_careful = self._careful_left > 0
        limit = 1 if is_careful else self.batch_max
        while self._is_wanted.is_set() and not self._is_stopping.is_set():
            deliveries = await self._receive(queue, limit, is_careful=is_careful)
            if not deliveries:
                return
            if not is_careful and any(one.returns >= SUSPECT_AFTER_RETURNS for one in deliveries):
                log.warning("shard_careful", returns=max(one.returns for one in deliveries))
                self._careful_left = CAREFUL_EXTRA
                return
            batch = Batch(self.shard, queue, deliveries, limit)
            numbering = await self._carry_through(batch, numbering)
            self._failures = 0
            if is_careful:
                new = sum(not one.returns for one in batch.deliveries)
                self._careful_left = max(0, self._careful_left - new)
                if self._careful_left == 0:
                    return  # come back with the full prefetch

    async def _receive(self, queue: AmqpShardQueue, limit: int, *, is_careful: bool) -> Sequence[Incoming]:
        try:
            async with asyncio.timeout(CAREFUL_WAIT_S if is_careful else None):
                return await queue.receive(limit)
        except TimeoutError:  # nothing comes: whatever killed the line is out of the queue
            self._careful_left = 0
            return ()

    async def _carry_through(self, batch: Batch, numbering: Numbering | None) -> Numbering | None:
        """Returns when every delivery of the batch is settled; None: read the numbering from the store again."""
        given_up_s = asyncio.get_running_loop().time() + HOLD_S
        tries = 0
        while True:
            try:
                numbering = numbering or await self._read_numbering()
                numbering = await self.trips.carry(batch, numbering)
                if batch.left is None:
                    return numbering
                batch = batch.left
            except Unavailable as error:
                if batch.queue.is_lost:
                    raise BrokerUnavailable(str(error)) from error
                if not self._may_hold(given_up_s):
                    raise  # leaving the queue gives everything back, in order
                log.warning("batch_waits", reason=str(error), messages=len(batch.deliveries), tries=tries)
                batch = batch.unsettled()
                if not batch.deliveries:
                    return None
            except (ShardLost, ConfigError):
                raise
            except Exception as error:  # whatever one message does to us must not stop the others
                if len(batch.deliveries) > 1:
                    return await self._carry_halves(batch, numbering)
                log.exception("message_failed", tries=tries, routing_key=shown_key(batch.deliveries[0]))
                if tries + 1 >= TRIES_IN_PLACE:
                    await give_up(batch, f"{type(error).__name__} in the pipeline", self.publisher, self.services)
                    return None
            # With the same numbering: one read anew would hide that another process has taken the shard meanwhile.
            await self._sleep(WAITS_S[min(tries, len(WAITS_S) - 1)])
            if batch.queue.is_lost:  # another line has these deliveries by now, and may have stored them
                raise BrokerUnavailable("the line was lost while its batch waited")
            tries += 1

    async def _read_numbering(self) -> Numbering:
        """From the store; and however often it is read, who wrote before this line was opened stays the same."""
        numbering = Numbering.after(await self.services.store.shard_position(self.shard))
        if self._resumed_ms is None:
            self._resumed_ms = numbering.resumed_ms
        numbering.resumed_ms = self._resumed_ms
        return numbering

    def _may_hold(self, given_up_s: float) -> bool:
        """Whether a batch that a service keeps waiting is still ours to hold."""
        is_ours = self._is_wanted.is_set() and not self._is_stopping.is_set()
        return is_ours and asyncio.get_running_loop().time() <= given_up_s

    async def _carry_halves(self, batch: Batch, numbering: Numbering | None) -> Numbering | None:
        first, second = batch.halves()
        return await self._carry_through(second, await self._carry_through(first, numbering))

    def _note_poison(self, queue: AmqpShardQueue) -> None:
        """With one at a time, only the culprit pays for the next crash (docs/facts.md, "Topics over 255 bytes")."""
        if queue.is_lost and queue.lost_code in POISON_CODES:
            self._careful_left = CAREFUL_EXTRA
            self._failures = 0

    async def _until_store_answers(self) -> None:
        while not self._is_stopping.is_set():
            await self._pause()
            try:
                await self.services.store.ping()
            except StoreUnavailable:
                continue
            return

    async def _until_broker_confirms(self) -> None:
        """Under an alarm the broker delivers but confirms nothing: deliveries taken then would only be given back."""
        while not self._is_stopping.is_set():
            await self._pause()
            try:
                await self.publisher.publish([PROBE])
            except BrokerUnavailable:
                continue
            return

    async def _pause(self) -> None:
        await self._sleep(WAITS_S[min(self._failures, len(WAITS_S) - 1)])
        self._failures += 1

    async def _sleep(self, delay_s: float) -> None:
        """Sleep, but not through a stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._is_stopping.wait()

    def _interrupt(self) -> None:
        if self._queue is not None:
            self._queue.interrupt()
