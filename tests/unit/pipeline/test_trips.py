"""Batches of several shards on their way together, over a real SQLite store."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from observer.broker.base import Incoming, Outcome
from observer.errors import BrokerUnavailable, ShardLost, StoreUnavailable
from observer.message import Message, Publication
from observer.metrics import Metrics
from observer.pipeline.batch import REFUSALS_IN_PLACE, Batch
from observer.pipeline.numbering import Numbering
from observer.pipeline.process import Services
from observer.pipeline.rates import RateLedger
from observer.pipeline.trips import Trips
from observer.store.base import ShardPosition
from observer.store.sqlite import SqliteStore
from policies.chain import PolicyChain

SHARDS = range(3)
NOW_MS = 1_000


class Store(SqliteStore):
    """Notes what is saved together; fails where a message's text says so. `is_halfway`: as MongoDB's bulk writes do."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.saves: list[list[str]] = []
        self.is_halfway = False

    async def save(self, messages: Sequence[Message], known: Sequence[Message]) -> None:
        texts = [json.loads(message.body)["text"] for message in messages]
        self.saves.append(texts)
        if "away" in texts:
            raise StoreUnavailable("away")
        if "bug" in texts:
            raise RuntimeError("a bug")
        if "cancel" in texts:
            raise asyncio.CancelledError
        if self.is_halfway and "lost" in texts:  # what stands before it is stored
            await super().save(messages[: texts.index("lost")], known)
        await super().save(messages, known)


class Queue:
    """A shard queue with what is given to it."""

    def __init__(self) -> None:
        self.waiting: list[Incoming] = []
        self.settled: list[tuple[int, str]] = []
        self.is_lost = False

    def take(self, limit: int) -> Sequence[Incoming]:
        taken, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return taken

    async def acknowledge(self, deliveries: Sequence[Incoming]) -> None:
        if self.is_lost:
            raise BrokerUnavailable("lost")
        self.settled += [(one.tag, "done") for one in deliveries]

    async def park(self, delivery: Incoming, outcome: Outcome, *, reason: str, message_id: str | None) -> None:
        self.settled.append((delivery.tag, outcome.value))


class Publisher:
    """Confirms at once, unless it is held; refuses copies of messages that say so."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Publication]] = []
        self.has_begun = asyncio.Event()
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
        self.batches.append(publications)
        self.has_begun.set()
        await self.may_go.wait()
        return [index for index, one in enumerate(publications) if b"refuse me" in one.body]


class World:
    """A pipeline with three shards and one trip at once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.publisher = Publisher()
        self.queues = [Queue() for _ in SHARDS]
        self.metrics = Metrics((), SHARDS)
        self.trips = Trips(
            [self.publisher],
            Services(store, PolicyChain([]), RateLedger(1, 1), self.metrics, lambda: NOW_MS, dead_letter_after=5),
        )

    def batch(self, shard: int, *texts: str, limit: int = 10, attempt: int = 1) -> Batch:
        return Batch(shard, self.queues[shard], [said(text, attempt) for text in texts], limit)  # type: ignore[arg-type]

    async def carry(self, batch: Batch) -> Numbering:
        """As the first of its shard."""
        return await self.trips.carry(batch, Numbering(0, NOW_MS))


def said(text: str, attempt: int = 1) -> Incoming:
    body = json.dumps({"text": text, "client_message_id": text}).encode()
    key = "apps.demo.outgoing.users.eve.messages.bob.outgoing"
    return Incoming(hash(text), key, body, attempt=attempt)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = Store(tmp_path / "observer.db")
    await store.open()
    world = World(store)
    yield world
    await world.trips.close()
    await store.close()


async def start_blocker(world: World) -> asyncio.Task[Numbering]:
    """A batch of shard 0 that keeps the only trip under way until the publisher may go on."""
    world.publisher.may_go.clear()
    world.publisher.has_begun.clear()
    blocker = asyncio.create_task(world.carry(world.batch(0, "first")))
    await world.publisher.has_begun.wait()
    return blocker


async def handed_in(world: World, *batches: Batch) -> Sequence[asyncio.Task[Numbering]]:
    """Batches that wait for the next trip."""
    tasks = [asyncio.create_task(world.carry(batch)) for batch in batches]
    await asyncio.sleep(0)  # each task runs up to its wait
    return tasks


async def test_batches_that_wait_at_the_same_moment_share_one_save_and_one_publish(world: World) -> None:
    blocker = await start_blocker(world)
    others = await handed_in(world, world.batch(1, "of 1"), world.batch(2, "of 2"))
    world.publisher.may_go.set()
    await asyncio.gather(blocker, *others)

    assert world.store.saves == [["first"], ["of 1", "of 2"]]
    assert [len(batch) for batch in world.publisher.batches] == [2, 4]
    assert [await world.store.shard_position(shard) for shard in SHARDS] == [ShardPosition(1, NOW_MS)] * 3
    assert [len(queue.settled) for queue in world.queues] == [1, 1, 1]


async def test_a_batch_that_waits_grows_up_to_its_limit(world: World) -> None:
    blocker = await start_blocker(world)
    [growing] = await handed_in(world, world.batch(1, "a", limit=3))
    world.queues[1].waiting = [said("b"), said("c"), said("d")]
    world.publisher.may_go.set()
    await asyncio.gather(blocker, growing)

    assert world.store.saves[-1] == ["a", "b", "c"]
    assert len(world.queues[1].settled) == 3
    assert len(world.queues[1].waiting) == 1


async def test_the_operator_sees_how_large_a_batch_is_and_what_came_again(world: World) -> None:
    batch = world.batch(1, "new", "again")
    new, again = batch.deliveries
    batch.deliveries = [new, replace(again, is_redelivered=True)]
    await world.carry(batch)

    value = world.metrics.registry.get_sample_value
    assert value("observer_batch_size_sum") == 2
    assert value("observer_redeliveries_total") == 1


async def test_one_message_that_fails_us_does_not_stop_the_others_of_its_trip(world: World) -> None:
    """Each batch goes again alone, so that only the culprit's shard hears of it."""
    blocker = await start_blocker(world)
    good, bad = await handed_in(world, world.batch(1, "good"), world.batch(2, "bug"))
    world.publisher.may_go.set()
    await asyncio.gather(blocker, good)
    with pytest.raises(RuntimeError, match="a bug"):
        await bad

    assert world.store.saves == [["first"], ["good", "bug"], ["good"], ["bug"]]
    assert [len(queue.settled) for queue in world.queues] == [1, 1, 0]


async def test_what_cancels_a_trip_from_within_is_a_bug_of_one_message(world: World) -> None:
    """Nobody would ever hear of the end of that trip, and all shards wait for it."""
    blocker = await start_blocker(world)
    good, bad = await handed_in(world, world.batch(1, "good"), world.batch(2, "cancel"))
    world.publisher.may_go.set()
    await asyncio.gather(blocker, good)
    with pytest.raises(RuntimeError, match="cancelled by nobody"):
        await bad
    assert len(world.queues[1].settled) == 1


async def test_a_shard_that_another_process_took_does_not_stop_the_others(world: World) -> None:
    lost, good = world.batch(1, "lost"), world.batch(2, "good")
    await world.carry(world.batch(1, "of the other process"))
    blocker = await start_blocker(world)
    tasks = await handed_in(world, lost, good)
    world.publisher.may_go.set()
    await asyncio.gather(blocker, tasks[1])
    with pytest.raises(ShardLost):
        await tasks[0]


async def test_a_shard_whose_messages_were_stored_beside_a_lost_one_goes_on(world: World) -> None:
    """MongoDB's bulk write stops half-way: the others find their messages stored, and number the next ones behind."""
    world.store.is_halfway = True
    await world.carry(world.batch(2, "of the other process"))
    blocker = await start_blocker(world)
    good, lost = await handed_in(world, world.batch(1, "one", "two"), world.batch(2, "lost"))
    world.publisher.may_go.set()
    await blocker
    with pytest.raises(ShardLost):
        await lost
    await world.trips.carry(world.batch(1, "three"), await good)
    stored = (await world.store.timeline("demo", "bob", {0: 0, 2: 0}, 10)).messages
    assert [(one.offset, json.loads(one.body)["text"]) for one in stored] == [(0, "one"), (1, "two"), (2, "three")]


async def test_a_shard_that_does_not_wait_any_more_does_not_stop_the_others(world: World) -> None:
    """As after the time for a shutdown is up."""
    blocker = await start_blocker(world)
    gone, good = await handed_in(world, world.batch(1, "gone"), world.batch(2, "good"))
    gone.cancel()
    world.publisher.may_go.set()
    await asyncio.gather(blocker, good)


async def test_a_store_that_is_away_is_told_to_all(world: World) -> None:
    """Trying each alone would only keep the others waiting."""
    blocker = await start_blocker(world)
    batches = [world.batch(1, "good"), world.batch(2, "away")]
    tasks = await handed_in(world, *batches)
    world.publisher.may_go.set()
    await blocker

    assert [type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)] == [StoreUnavailable] * 2
    assert all(batch.is_repeat for batch in batches)
    assert world.store.saves == [["first"], ["good", "away"]]


async def test_a_line_that_is_lost_is_told_to_its_own_shard_only(world: World) -> None:
    blocker = await start_blocker(world)
    world.queues[1].is_lost = True
    tasks = await handed_in(world, world.batch(1, "of 1"), world.batch(2, "of 2"))
    world.publisher.may_go.set()
    await asyncio.gather(blocker, tasks[1])
    with pytest.raises(BrokerUnavailable):
        await tasks[0]
    assert len(world.queues[2].settled) == 1


async def test_a_client_message_id_to_two_people_at_once_is_one_message(world: World) -> None:
    """Different recipients, different shards: but one trip, so the second is known to be taken."""
    blocker = await start_blocker(world)
    first, second = world.batch(1, "same"), world.batch(2, "same")
    second.deliveries = [Incoming(9, "apps.demo.outgoing.users.eve.messages.ann.outgoing", said("same").body)]
    tasks = await handed_in(world, first, second)
    world.publisher.may_go.set()
    await asyncio.gather(blocker, *tasks)

    assert world.store.saves[-1] == ["same"]
    assert json.loads(world.publisher.batches[-1][-1].body)["code"] == "client_message_id_taken"


def refused_before(batch: Batch) -> Batch:
    """As often as its shard waits for."""
    batch.refusals = REFUSALS_IN_PLACE
    return batch


async def test_a_copy_that_is_refused_is_left_to_its_shard_and_all_others_are_done(world: World) -> None:
    """Who comes and goes keeps up nobody but those behind him in his shard, and them for a moment."""
    blocker = await start_blocker(world)
    fine, batch = world.batch(1, "fine"), world.batch(2, "also fine", "refuse me")
    tasks = await handed_in(world, fine, batch)
    world.publisher.may_go.set()
    await asyncio.gather(blocker, *tasks)

    assert [outcome for _, outcome in world.queues[1].settled] == ["done"]
    assert world.queues[2].settled == [(batch.deliveries[0].tag, "done")]
    assert fine.left is None
    assert batch.left is not None
    assert (list(batch.left.deliveries), batch.left.is_repeat, batch.left.refusals) == ([batch.deliveries[1]], True, 1)


async def test_a_copy_that_is_refused_at_the_last_try_is_told_to_the_sender(world: World) -> None:
    await world.carry(refused_before(world.batch(1, "fine", "refuse me", attempt=5)))

    assert {outcome for _, outcome in world.queues[1].settled} == {"done", "dead_letter"}
    [told] = world.publisher.batches[-1]
    assert (told.routing_key, json.loads(told.body)["code"]) == ("apps.demo.users.eve.refused", "failed")


async def test_of_the_batches_of_a_trip_each_hears_of_its_own_refused_copies(world: World) -> None:
    blocker = await start_blocker(world)
    fine, other = world.batch(1, "fine", attempt=5), refused_before(world.batch(2, "also fine", attempt=5))
    to_herself = Incoming(9, "apps.demo.outgoing.users.eve.messages.eve.outgoing", said("refuse me").body, attempt=5)
    other.deliveries = [to_herself, *other.deliveries]
    tasks = await handed_in(world, fine, other)
    world.publisher.may_go.set()
    await asyncio.gather(blocker, *tasks)

    assert [outcome for _, outcome in world.queues[1].settled] == ["done"]
    assert [outcome for _, outcome in world.queues[2].settled] == ["dead_letter", "done"]
    assert [len(batch) for batch in world.publisher.batches] == [2, 5, 1], "all copies at once, then one refusal"


async def test_a_copy_that_is_refused_before_is_tried_again_later(world: World) -> None:
    """That message alone, and nobody is told yet."""
    blocker = await start_blocker(world)
    again = refused_before(world.batch(2, "also fine", "refuse me", attempt=4))
    tasks = await handed_in(world, world.batch(1, "fine"), again)
    world.publisher.may_go.set()
    await asyncio.gather(blocker, *tasks)

    assert [outcome for _, outcome in world.queues[1].settled] == ["done"]
    assert [outcome for _, outcome in world.queues[2].settled] == ["retry", "done"]
    assert len(world.publisher.batches) == 2


async def test_nothing_sets_out_when_all_is_cut_off(world: World) -> None:
    """A shutdown that takes too long: publishers and store are closed next."""
    tasks = [await start_blocker(world), *await handed_in(world, world.batch(1, "waits"))]
    await world.trips.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    world.publisher.may_go.set()
    await world.carry(world.batch(2, "later"))  # behind whatever else is under way
    assert world.store.saves == [["first"], ["later"]]
