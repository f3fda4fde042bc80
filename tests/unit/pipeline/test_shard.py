"""One shard's loop, where a real broker and a real store cannot be brought to fail at the moment in question."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from observer.broker.base import Incoming
from observer.errors import BrokerUnavailable, StoreUnavailable
from observer.message import Publication
from observer.metrics import Metrics
from observer.pipeline.batch import Batch
from observer.pipeline.numbering import Numbering
from observer.pipeline.shard import ShardLoop
from observer.store.base import ShardPosition

KEY = "apps.demo.outgoing.users.alice.messages.bob.outgoing"


class Queue:
    """A line with one delivery."""

    lost_code = 0
    oldest_ms: int | None = None

    def __init__(self) -> None:
        self.is_lost = False
        self.settled: set[int] = set()

    async def __aenter__(self) -> "Queue":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def receive(self, limit: int) -> Sequence[Incoming]:
        return [Incoming(1, KEY, b"{}")][:limit]

    def interrupt(self) -> None:
        return None

    def holds(self, delivery: Incoming) -> bool:
        return delivery.tag not in self.settled


class StoreAt:
    """Tells where the shard goes on."""

    def __init__(self, next_offset: int) -> None:
        self._position = ShardPosition(next_offset, 5)

    async def shard_position(self, shard: int) -> ShardPosition:
        return self._position


class StoreThatIsAway:
    """When it is asked first; by the time that it is asked again, the line is lost."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.asked = 0

    async def shard_position(self, shard: int) -> ShardPosition:
        self.asked += 1
        asyncio.get_running_loop().call_soon(setattr, self._queue, "is_lost", True)
        raise StoreUnavailable("away")


def loop_over(queue: Queue, trips: object, store: object, publisher: object = None) -> ShardLoop:
    """A loop that opens always the same queue, and has these for its services."""
    services: Any = SimpleNamespace(store=store, metrics=Metrics((), range(1)), now_ms=lambda: 1_000)
    return ShardLoop(0, lambda prefetch: cast(Any, queue), cast(Any, trips), cast(Any, publisher), services, 10, 10)


async def run(loop: ShardLoop) -> None:
    """Until somebody stops it."""
    loop.want()
    async with asyncio.timeout(10):
        await loop.run()


async def test_a_batch_whose_line_is_lost_while_it_waits_is_not_tried_again() -> None:
    """Another process has its deliveries then, and stores them: read anew, the numbering would stand behind those."""
    queue = Queue()
    store = StoreThatIsAway(queue)

    class Publisher:
        async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
            loop.stop()  # asked when the line is lost: the test has seen what it wants
            return ()

    loop = loop_over(queue, None, store, Publisher())
    await run(loop)
    assert store.asked == 1


async def test_a_batch_that_is_tried_again_is_numbered_as_before() -> None:
    """What another process has stored behind it meanwhile must stop us: this one is his to judge."""
    tried: list[int] = []

    class Trips:
        async def carry(self, batch: Batch, numbering: Numbering) -> Numbering:
            tried.append(numbering.next_offset)
            if len(tried) == 1:
                raise StoreUnavailable("away")
            loop.stop()
            return numbering

    class GrowingStore:
        next_offset = 7

        async def shard_position(self, shard: int) -> ShardPosition:
            self.next_offset += 1
            return ShardPosition(self.next_offset, 5)

    loop = loop_over(Queue(), Trips(), GrowingStore())
    await run(loop)
    assert tried == [8, 8]


async def test_the_second_half_of_a_batch_is_numbered_behind_the_first() -> None:
    carried: list[tuple[int, int]] = []

    class Trips:
        async def carry(self, batch: Batch, numbering: Numbering) -> Numbering:
            if len(batch.deliveries) > 1:
                raise RuntimeError("one of them is the culprit")
            carried.append((batch.deliveries[0].tag, numbering.next_offset))
            if len(carried) == 2:
                loop.stop()
            return Numbering(numbering.next_offset + 1, 5)

    class TwoDeliveries(Queue):
        async def receive(self, limit: int) -> Sequence[Incoming]:
            return [Incoming(tag, KEY, b"{}") for tag in (1, 2)]

    loop = loop_over(TwoDeliveries(), Trips(), StoreAt(7))
    await run(loop)
    assert carried == [(1, 7), (2, 8)]


@pytest.mark.parametrize(("oldest_ms", "lag_s"), [(None, 0.0), (750, 0.25), (2_000, 0.0)])
async def test_the_lag_is_the_age_of_the_oldest_in_hand(oldest_ms: int | None, lag_s: float) -> None:
    """0 when nothing is in hand, and never negative where clocks differ."""
    queue = Queue()
    queue.oldest_ms = oldest_ms
    seen: list[float] = []

    class Trips:
        async def carry(self, batch: Batch, numbering: Numbering) -> Numbering:
            seen.append(loop.lag_s())
            loop.stop()
            return numbering

    loop = loop_over(queue, Trips(), StoreAt(0))
    assert loop.lag_s() == 0, "no queue is open yet"
    await run(loop)
    assert seen == [lag_s]


async def test_what_a_try_has_left_is_tried_again_before_anything_new() -> None:
    """Behind it are messages of the same pair: they would pass it."""
    carried: list[list[int]] = []

    class Trips:
        async def carry(self, batch: Batch, numbering: Numbering) -> Numbering:
            carried.append([one.tag for one in batch.deliveries])
            if len(carried) == 1:
                batch.leave([1])
            if not queue.waiting:
                loop.stop()
            return numbering

    class Waiting(Queue):
        def __init__(self) -> None:
            super().__init__()
            self.waiting = [Incoming(tag, KEY, b"{}") for tag in range(3)]

        async def receive(self, limit: int) -> Sequence[Incoming]:
            taken, self.waiting = self.waiting[:2], self.waiting[2:]
            return taken

    queue = Waiting()
    loop = loop_over(queue, Trips(), StoreAt(0))
    await run(loop)
    assert carried == [[0, 1], [1], [2]]


async def test_what_a_try_has_settled_before_it_failed_is_not_judged_again() -> None:
    """It may lie in the dead-letter queue, and its sender know it: now it could be let through after all."""
    carried: list[list[int]] = []

    class Trips:
        async def carry(self, batch: Batch, numbering: Numbering) -> Numbering:
            carried.append([one.tag for one in batch.deliveries])
            if len(carried) == 1:
                queue.settled = {0}
                raise BrokerUnavailable("the second one could not be parked")
            loop.stop()
            return numbering

    class Two(Queue):
        async def receive(self, limit: int) -> Sequence[Incoming]:
            return [Incoming(tag, KEY, b"{}") for tag in (0, 1)]

    queue = Two()
    loop = loop_over(queue, Trips(), StoreAt(0))
    await run(loop)
    assert carried == [[0, 1], [1]]


async def test_a_shard_whose_batches_hold_one_message_by_choice_keeps_its_line() -> None:
    """It is not careful: to leave after each message would count as a return of whatever is in hand."""
    opened: list[int] = []
    carried: list[int] = []

    class Trips:
        async def carry(self, batch: Batch, numbering: Numbering) -> Numbering:
            carried.append(len(batch.deliveries))
            if len(carried) == 3:
                loop.stop()
            return numbering

    def open_queue(prefetch: int) -> Any:
        opened.append(prefetch)
        return Queue()

    loop = loop_over(Queue(), Trips(), StoreAt(0))
    loop.open_queue, loop.batch_max = open_queue, 1
    await run(loop)
    assert (opened, carried) == ([10], [1, 1, 1])
