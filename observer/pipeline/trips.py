"""Trips: batches of several shards that are ready at the same moment travel together and share the round trips.

One trip, or a few, are under way at once; meanwhile what waits for the next one grows. A batch that failed once
travels alone from then on: whatever is wrong with it, its neighbours do not meet it twice.
"""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass

import structlog

from observer.broker.base import Publisher
from observer.errors import Unavailable
from observer.pipeline.batch import Batch
from observer.pipeline.numbering import Numbering
from observer.pipeline.process import Services, process

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Traveller:
    """A batch, and who waits for it to arrive."""

    batch: Batch
    numbering: Numbering
    arrival: asyncio.Future[Numbering]


class Trips:
    """Carries batches; shard loops hand them in, one at a time each."""

    def __init__(self, publishers: Sequence[Publisher], services: Services) -> None:
        """As many trips at once as there are publishers."""
        self._free = list(publishers)
        self._services = services
        self._waiting: list[Traveller] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def carry(self, batch: Batch, numbering: Numbering) -> Numbering:
        """Return when every delivery of the batch is settled: how its shard's numbering goes on.

        Raises what `process` raises, with nothing of this batch settled.
        """
        arrival: asyncio.Future[Numbering] = asyncio.get_running_loop().create_future()
        self._waiting.append(Traveller(batch, numbering, arrival))
        self._depart()
        return await arrival

    async def close(self) -> None:
        """Cut off what is under way, and let nothing more set out; the broker will deliver it again."""
        self._is_closed = True
        self._waiting.clear()
        for trip in self._under_way:
            trip.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _depart(self) -> None:
        while self._waiting and self._free:
            trip = self._travel(self._board(), self._free.pop())
            # No shard's own context: what is logged on the way names the shard that it is about.
            task = asyncio.get_running_loop().create_task(trip, context=Context())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _board(self) -> Sequence[Traveller]:
        """The first that waits, if it must travel alone; else all that need not."""
        if self._waiting[0].batch.is_repeat:
            return [self._waiting.pop(0)]
        together = [one for one in self._waiting if not one.batch.is_repeat]
        self._waiting = [one for one in self._waiting if one.batch.is_repeat]
        for one in together:
            one.batch.grow()
            _note_departure(one.batch, self._services)
        return together

    async def _travel(self, travellers: Sequence[Traveller], publisher: Publisher) -> None:
        try:
            endings = await process([(one.batch, one.numbering) for one in travellers], publisher, self._services)
        except Exception as error:  # noqa: BLE001 - each shard's loop knows what to do about its own
            self._break_up(travellers, error)
        except asyncio.CancelledError:
            if self._is_closed:
                raise
            # By nobody: a policy's own code may raise it. Whoever waits here would wait for ever.
            self._break_up(travellers, RuntimeError("a trip was cancelled by nobody"))
        else:
            for one, ending in zip(travellers, endings, strict=True):
                _arrive(one.arrival, ending)
        finally:
            self._free.append(publisher)
            self._depart()

    def _break_up(self, travellers: Sequence[Traveller], error: Exception) -> None:
        """A service that is away fails them all; anything else, one of them: each goes again, alone.

        With the numbering that it came with: one read anew would hide that another process has taken the shard.
        """
        for one in travellers:
            one.batch.is_repeat = True
        if len(travellers) == 1 or isinstance(error, Unavailable):
            for one in travellers:
                _arrive(one.arrival, error)
        else:
            log.info("trip_split", shards=[one.batch.shard for one in travellers], reason=type(error).__name__)
            self._waiting = [*travellers, *self._waiting]


def _arrive(arrival: asyncio.Future[Numbering], ending: Numbering | Exception) -> None:
    if arrival.done():
        return  # cancelled: nobody waits any more
    if isinstance(ending, Exception):
        arrival.set_exception(ending)
    else:
        arrival.set_result(ending)


def _note_departure(batch: Batch, services: Services) -> None:
    metrics = services.metrics
    metrics.observe_batch(len(batch.deliveries))
    metrics.count_redeliveries(sum(one.is_redelivered for one in batch.deliveries))
