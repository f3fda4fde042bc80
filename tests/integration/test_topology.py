"""The way of a message through the broker's own parts, as rabbitmq/README.md promises it, on a real RabbitMQ."""

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aiormq import connect
from aiormq.exceptions import AMQPError

from observer.broker import names
from observer.topics import outgoing
from tests.services.broker_clients import (
    WAIT_S,
    logged_in,
    observer_url,
)
from tests.services.observer import environment_of
from tests.services.queues import depths, first_message
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker

APP = "topology"
POLL_S = 0.05
DELIVERY_LIMIT = 10


def test_an_observer_that_does_not_know_of_every_shard_is_refused(broker: RunningBroker, tmp_path: Path) -> None:
    """What goes to the last one would wait for ever, acknowledged, although everybody seems ready."""
    refused = subprocess.run(
        [sys.executable, "-m", "observer", "run"],
        env=environment_of(broker, tmp_path, OBSERVER_BROKER__SHARDS=str(broker.shards - 1)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert f"what goes to {names.shard_queue(broker.shards - 1)} would be read by nobody" in refused.stderr


@pytest.mark.parametrize(
    "rest",
    [
        "messages/bob/outgoing",
        "messages/bob/outgong",
        "messages",
        "x",
        "messages/bob/outgoing/more",
        "messages//outgoing",
    ],
)
async def test_whatever_a_client_may_publish_waits_in_a_shard(
    broker: RunningBroker, channel: AbstractChannel, user: str, rest: str
) -> None:
    """A misspelt topic is for the observer to refuse: what no queue takes would be acknowledged and lost."""
    with logged_in(broker, APP, user) as client:
        client.publish_acknowledged(f"apps/{APP}/outgoing/users/{user}/{rest}")

    waiting = await depths(channel, broker)

    assert list(waiting.values()) == [1]
    assert next(iter(waiting)).startswith("chat.in.")


async def test_a_pair_keeps_its_shard_and_pairs_spread_over_all(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """Order needs one shard for a pair; load needs all shards for many pairs."""
    pairs = 40
    with logged_in(broker, APP, user) as client:
        for _ in range(2):
            for peer in range(pairs):
                client.publish_acknowledged(f"apps/{APP}/outgoing/users/{user}/messages/peer-{peer}/outgoing")

    waiting = await depths(channel, broker)

    assert broker.shards == len(waiting)
    assert 2 * pairs == sum(waiting.values())
    assert all(count % 2 == 0 for count in waiting.values())


async def test_a_retried_message_returns_to_its_shard_with_key_and_headers(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """The delay changes nothing but the time."""
    key = outgoing(APP, user, "bob")
    with logged_in(broker, APP, user) as client:
        client.publish_acknowledged(key.replace(".", "/"), b"one")
    [shard] = await depths(channel, broker)
    original = await first_message(channel, shard)
    retry = await channel.get_exchange(names.retry_queue(1))
    copy = Message(original.body, headers={"x-observer-attempt": 2}, delivery_mode=DeliveryMode.PERSISTENT)

    await retry.publish(copy, routing_key=original.routing_key or "")
    returned = await first_message(channel, shard)

    assert (key, b"one", 2) == (returned.routing_key, returned.body, returned.headers["x-observer-attempt"])
    assert await depths(channel, broker) == {}


async def test_a_topic_that_kills_the_connection_ends_in_the_dead_letter_queue(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """They close every AMQP connection that they are delivered on (docs/facts.md, "Topics over 255 bytes").

    With a prefetch of 1 the delivery limit takes out this message alone, under a routing key that can be read.
    """
    innocents = 40
    with logged_in(broker, APP, user) as client:
        client.publish_acknowledged(f"apps/{APP}/outgoing/users/{user}/" + "x" * 300, b"poison")
        [shard] = await depths(channel, broker)
        for peer in range(innocents):
            client.publish_acknowledged(f"apps/{APP}/outgoing/users/{user}/messages/peer-{peer}/outgoing")

    crashes = 0
    while await crashes_on_head(broker, shard):
        crashes += 1
    dead = await first_message(channel, names.DEAD_QUEUE)
    kept = await depths(channel, broker)

    assert (dead.body, dead.routing_key) == (b"poison", names.DEAD_ROUTING_KEY)
    assert crashes == DELIVERY_LIMIT + 1
    assert innocents == sum(kept.values())


async def crashes_on_head(broker: RunningBroker, shard: str) -> bool:
    """Consume the head of `shard`, acknowledging nothing: whether the broker closes the connection over it."""
    arrived = asyncio.Event()

    async def on_delivery(_: object) -> None:
        arrived.set()

    connection = await connect(observer_url(broker))
    channel = await connection.channel()
    await channel.basic_qos(prefetch_count=1)
    try:
        async with asyncio.timeout(WAIT_S):
            await channel.basic_consume(shard, on_delivery)
            arrival = asyncio.ensure_future(arrived.wait())
            await asyncio.wait((arrival, connection.closing), return_when=asyncio.FIRST_COMPLETED)
    except AMQPError:
        return True
    finally:
        with contextlib.suppress(AMQPError):
            await connection.close()
    if not arrived.is_set():
        arrival.cancel()
    return not arrived.is_set()
