"""The consuming end of a shard queue, on a real broker."""

import asyncio
from dataclasses import replace

import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel

from observer.broker import names
from observer.broker.publisher import ConfirmingPublisher
from observer.broker.shard_queue import BATCH_BYTES, AmqpShardQueue
from observer.topics import outgoing
from tests.services.cut_line import CutLine
from tests.services.queues import depths
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker


async def test_a_batch_ends_at_half_a_megabyte_of_bodies(broker: RunningBroker, channel: AbstractChannel) -> None:
    """Hundreds of large ones would fill the memory once they are decoded, and keep the event loop for seconds."""
    topic = await channel.get_exchange(names.TOPIC_EXCHANGE)
    for body in [b"x" * 60_000] * 12 + [b"{}"] * 12:
        await topic.publish(Message(body), routing_key=outgoing("demo", "alice", "bob"))
    [shard] = await depths(channel, broker)

    publisher = ConfirmingPublisher(broker.options, "test", on_nack=lambda _: None, on_reconnect=lambda: None)
    number = int(shard.rpartition(".")[2])
    queue = AmqpShardQueue(broker.options, number, prefetch=100, publisher=publisher, name="test", clock=lambda: 7)
    async with queue, asyncio.timeout(30):
        largest, count = 0, 0
        while count < 24:
            deliveries = await queue.receive(100)
            largest = max(largest, sum(len(one.body) for one in deliveries))
            count += len(deliveries)
            assert queue.oldest_ms is not None
            await queue.acknowledge(deliveries)
        assert queue.oldest_ms is None
    assert largest < BATCH_BYTES + 60_000


async def test_a_shard_that_is_left_in_haste_is_let_go(broker: RunningBroker) -> None:
    """A shutdown may cut off the leaving itself: an open line that nobody reads would keep the shard from others."""
    with CutLine(broker.amqps_port) as line:
        options = replace(broker.options, port=line.port)
        publisher = ConfirmingPublisher(options, "test", on_nack=lambda _: None, on_reconnect=lambda: None)
        queue = AmqpShardQueue(options, 0, prefetch=1, publisher=publisher, name="test", clock=lambda: 0)
        await queue.__aenter__()
        line.go_silent()
        leaving = asyncio.create_task(queue.__aexit__(None, None, None))
        await asyncio.sleep(0)  # it runs up to its wait for the broker
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert queue.is_lost
