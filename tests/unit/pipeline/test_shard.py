"""One shard's loop, where a real broker and a real store cannot be brought to fail at the moment in question."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from observer.broker.base import Incoming
from observer.errors import StoreUnavailable
from observer.message import Publication
from observer.metrics import Metrics
from observer.pipeline.shard import ShardLoop
from observer.store.base import ShardPosition


class Queue:
    """A line with one delivery."""

    lost_code = 0

    def __init__(self) -> None:
        self.is_lost = False

    async def __aenter__(self) -> "Queue":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def receive(self, limit: int) -> Sequence[Incoming]:
        return [Incoming(1, "apps.demo.outgoing.users.alice.messages.bob.outgoing", b"{}")][:limit]

    def interrupt(self) -> None:
        return None


class Store:
    """Away when it is asked first; by the time that it is asked again, the line is lost."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.asked = 0

    async def shard_position(self, shard: int) -> ShardPosition:
        self.asked += 1
        asyncio.get_running_loop().call_soon(setattr, self._queue, "is_lost", True)
        raise StoreUnavailable("away")


async def test_a_batch_whose_line_is_lost_while_it_waits_is_not_tried_again() -> None:
    """Another process has its deliveries then, and stores them: read anew, the numbering would stand behind those."""
    queue = Queue()
    store = Store(queue)
    services = SimpleNamespace(store=store, metrics=Metrics((), range(1)))

    class Publisher:
        async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
            loop.stop()  # asked when the line is lost: the test has seen what it wants
            return ()

    def open_queue(prefetch: int) -> Any:
        return queue

    loop = ShardLoop(0, open_queue, cast(Any, None), Publisher(), cast(Any, services), 10, 10)
    loop.want()
    async with asyncio.timeout(10):
        await loop.run()
    assert store.asked == 1
