"""Looking into the queues of a real broker, as the observer may."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from observer.broker import names
from tests.services.broker_clients import WAIT_S, observer_channel
from tests.services.rabbitmq import RunningBroker

POLL_S = 0.05
Found = TypeVar("Found")


@pytest.fixture
def broker(shared_broker: RunningBroker) -> RunningBroker:
    """The broker of this run, with nothing in our queues of what other tests have sent and nobody has read."""
    asyncio.run(empty_queues(shared_broker))
    return shared_broker


async def empty_queues(broker: RunningBroker) -> None:
    """Purge them over a line of its own."""
    async with observer_channel(broker) as channel:
        await purge(channel, broker)


def our_queues(broker: RunningBroker) -> list[str]:
    """Every queue of the set-up."""
    shards = [names.shard_queue(shard) for shard in range(broker.shards)]
    return [*shards, names.DEAD_QUEUE, *(names.retry_queue(delay_s) for delay_s in names.RETRY_DELAYS_S)]


async def purge(channel: AbstractChannel, broker: RunningBroker) -> None:
    """Empty every queue of the set-up."""
    for name in our_queues(broker):
        await (await channel.get_queue(name)).purge()


async def depths(channel: AbstractChannel, broker: RunningBroker) -> Mapping[str, int]:
    """How many messages wait in each of our queues; empty ones are left out."""
    found = {name: await channel.declare_queue(name, passive=True) for name in our_queues(broker)}
    counts = {name: one.declaration_result.message_count or 0 for name, one in found.items()}
    return {name: count for name, count in counts.items() if count}


def what_waits(broker: RunningBroker) -> Mapping[str, int]:
    """`depths` over a line of its own. Not by rabbitmqctl: what it tells of a quorum queue may be five seconds old."""

    async def look() -> Mapping[str, int]:
        async with observer_channel(broker) as channel:
            return await depths(channel, broker)

    return asyncio.run(look())


async def until(look: Callable[[], Awaitable[Found]]) -> Found:
    """What `look` finds, once that is something."""
    async with asyncio.timeout(WAIT_S):
        while not (found := await look()):  # noqa: ASYNC110 - what the broker does can only be asked for
            await asyncio.sleep(POLL_S)
        return found


async def first_message(channel: AbstractChannel, queue_name: str) -> AbstractIncomingMessage:
    """Consume one message, and acknowledge it."""
    arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    source = await channel.get_queue(queue_name)
    tag = await source.consume(arrived.put)
    async with asyncio.timeout(WAIT_S):
        message = await arrived.get()
    await message.ack()
    await source.cancel(tag)
    return message


@contextlib.contextmanager
def policy(broker: RunningBroker, pattern: str, definition: str) -> Iterator[None]:
    """A policy above our own, for as long as this lasts."""
    broker.rabbitmqctl("set_policy", "test", pattern, definition, "--priority", "99", "--apply-to", "queues")
    try:
        yield
    finally:
        broker.rabbitmqctl("clear_policy", "test")
