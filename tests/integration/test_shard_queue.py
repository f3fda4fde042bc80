"""The consuming end of a shard queue, on a real broker."""

import asyncio
from dataclasses import replace

import pytest

from observer.broker.publisher import ConfirmingPublisher
from observer.broker.shard_queue import AmqpShardQueue
from tests.services.cut_line import CutLine
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker


async def test_a_shard_that_is_left_in_haste_is_let_go(broker: RunningBroker) -> None:
    """A shutdown may cut off the leaving itself: an open line that nobody reads would keep the shard from others."""
    with CutLine(broker.amqps_port) as line:
        options = replace(broker.options, port=line.port)
        publisher = ConfirmingPublisher(options, "test", on_nack=lambda _: None, on_reconnect=lambda: None)
        queue = AmqpShardQueue(options, 0, prefetch=1, publisher=publisher, name="test")
        await queue.__aenter__()
        line.go_silent()
        leaving = asyncio.create_task(queue.__aexit__(None, None, None))
        await asyncio.sleep(0)  # it runs up to its wait for the broker
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert queue.is_lost
