"""The way of a message through the broker's own parts, as rabbitmq/README.md promises it, on a real RabbitMQ."""

import asyncio
import contextlib
import queue
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import pytest
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq import connect
from aiormq.exceptions import AMQPError, DeliveryError
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from observer.broker import names
from observer.topics import client_added, outgoing
from tests.services.broker_clients import (
    WAIT_S,
    logged_in,
    mqtt_user,
    observer_channel,
    observer_url,
    signed_token,
    user_token,
)
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker

APP = "topology"
POLL_S = 0.05
DELIVERY_LIMIT = 5
Found = TypeVar("Found")


@pytest.fixture
async def channel(broker: RunningBroker) -> AsyncIterator[AbstractChannel]:
    """The observer's channel; our queues are empty before and after the test."""
    async with observer_channel(broker) as channel:
        await purge(channel, broker)
        yield channel
    async with observer_channel(broker) as fresh:
        await purge(fresh, broker)


@pytest.fixture
def user() -> str:
    """A user that no other test knows."""
    return f"user-{uuid.uuid4().hex[:12]}"


def our_queues(broker: RunningBroker) -> list[str]:
    shards = [names.shard_queue(shard) for shard in range(broker.shards)]
    return [*shards, names.DEAD_QUEUE, *(names.retry_queue(delay_s) for delay_s in names.RETRY_DELAYS_S)]


async def purge(channel: AbstractChannel, broker: RunningBroker) -> None:
    for name in our_queues(broker):
        await (await channel.get_queue(name)).purge()


async def depths(channel: AbstractChannel, broker: RunningBroker) -> Mapping[str, int]:
    """How many messages wait in each of our queues; empty ones are left out."""
    found = {name: await channel.declare_queue(name, passive=True) for name in our_queues(broker)}
    counts = {name: one.declaration_result.message_count or 0 for name, one in found.items()}
    return {name: count for name, count in counts.items() if count}


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


def needs_packet_limits(broker: RunningBroker) -> None:
    if broker.version < (4, 0):
        pytest.skip("RabbitMQ 3 has no packet limits and no stamps")


def needs_safe_reject(broker: RunningBroker) -> None:
    if broker.version < (4, 0):
        pytest.skip("RabbitMQ 3 cuts a publisher off whose message is rejected: its shards have no limit")


@dataclass(frozen=True)
class Pair:
    """Where the messages of one pair go."""

    key: str
    shard: str


async def two_pairs_in_two_shards(channel: AbstractChannel, broker: RunningBroker, user: str) -> tuple[Pair, Pair]:
    """Two routing keys that the hash sends to different shards; the shards are empty."""
    topic = await channel.get_exchange(names.TOPIC_EXCHANGE)
    found: dict[str, Pair] = {}
    for number in range(200):
        key = outgoing(APP, user, f"peer-{number}")
        await topic.publish(Message(b"?"), routing_key=key)
        [shard] = await depths(channel, broker)
        await purge(channel, broker)
        found[shard] = Pair(key, shard)
        if len(found) == 2:
            one, other = found.values()
            return one, other
    raise AssertionError("200 pairs, all in one shard")


async def fill(channel: AbstractChannel, key: str) -> None:
    """Publish to `key` until the broker refuses."""
    topic = await channel.get_exchange(names.TOPIC_EXCHANGE)
    with contextlib.suppress(DeliveryError):
        for _ in range(100):
            await topic.publish(Message(b"x" * 100), routing_key=key)
        raise AssertionError("100 messages into a full queue, none refused")


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
    """256 bytes of topic close every AMQP connection that they are delivered on (rabbitmq-facts, 2.4).

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


async def test_a_message_that_a_full_shard_cannot_take_back_waits_in_its_retry_queue(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """The way back is at-least-once: what was rejected is offered again, every ten seconds, until there is room."""
    needs_safe_reject(broker)
    full, roomy = await two_pairs_in_two_shards(channel, broker, user)
    retry = await channel.get_exchange(names.retry_queue(1))
    with policy(broker, f"^{full.shard}$".replace(".", "[.]"), '{"max-length-bytes": 1}'):
        await fill(channel, full.key)
        await retry.publish(Message(b"late", delivery_mode=DeliveryMode.PERSISTENT), routing_key=full.key)
        await retry.publish(Message(b"in time", delivery_mode=DeliveryMode.PERSISTENT), routing_key=roomy.key)
        in_time = await first_message(channel, roomy.shard)  # it expired after the other one did
    await (await channel.get_queue(full.shard)).purge()
    late = await first_message(channel, full.shard)

    assert (in_time.body, late.body) == (b"in time", b"late")


async def test_a_publisher_learns_that_a_shard_is_full(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """While the observer is away for long, what is not accepted is not acknowledged; what was accepted is kept."""
    needs_safe_reject(broker)
    topic = f"apps/{APP}/outgoing/users/{user}/messages/bob/outgoing"
    accepted = 0
    with (
        policy(broker, "^chat[.]in[.]", '{"max-length-bytes": 200}'),
        mqtt_user(
            broker.mqtt_port, f"{user}.d", user_token(broker, APP, user), version=MQTTProtocolVersion.MQTTv5
        ) as client,
    ):
        while not (answer := client.publish_acknowledged(topic, b"x" * 100)).is_failure:
            accepted += 1
        waiting = await depths(channel, broker)
        await purge(channel, broker)
        after = client.publish_acknowledged(topic)

    assert str(answer) == "Quota exceeded"
    assert [accepted] == list(waiting.values())
    assert not after.is_failure


async def test_a_publisher_waits_while_the_machine_runs_short(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """The brake of every version: no acknowledgement during a memory alarm, and nothing lost after it."""
    topic = f"apps/{APP}/outgoing/users/{user}/messages/bob/outgoing"
    with logged_in(broker, APP, user) as client:
        client.publish_acknowledged(topic)
        usual = broker.rabbitmqctl("eval", "vm_memory_monitor:get_vm_memory_high_watermark().").strip()
        broker.rabbitmqctl("set_vm_memory_high_watermark", "0.000001")
        try:
            await until(lambda: alarm_is_on(broker))
            number = client.publish(topic)
            during = await depths(channel, broker)
            unanswered = client.acknowledged.empty()
        finally:
            broker.rabbitmqctl("eval", f"vm_memory_monitor:set_vm_memory_high_watermark({usual}).")
        answered, code = client.acknowledged.get(timeout=WAIT_S)
    after = await depths(channel, broker)

    assert unanswered
    assert (list(during.values()), list(after.values())) == ([1], [2])
    assert (number, False) == (answered, code.is_failure)


async def alarm_is_on(broker: RunningBroker) -> bool:
    return "memory" in broker.rabbitmqctl("eval", "rabbit_alarm:get_alarms().")


async def test_nothing_is_retained(broker: RunningBroker, user: str) -> None:
    """A user could fill the store with topics of his own: a new subscriber is given live messages only."""
    topic = f"apps/{APP}/outgoing/users/{user}/retained"
    key = topic.replace("/", ".")
    scopes = [
        *(f"rabbitmq.{right}:%2F/mqtt-subscription-{user}.*" for right in ("configure", "write", "read")),
        f"rabbitmq.read:%2F/amq.topic/{key}",
        f"rabbitmq.write:%2F/amq.topic/{key}",
    ]
    token = signed_token(user, scopes, key=broker.signing_key.read_bytes(), key_id=broker.key_id)
    with mqtt_user(broker.mqtt_port, f"{user}.d", token) as client:
        client.publish_acknowledged(topic, b"retained", retain=True)
        client.subscribe(topic)
        client.publish_acknowledged(topic, b"live")
        first = client.messages.get(timeout=WAIT_S)

    assert first.payload == b"live"


async def test_a_session_that_is_away_keeps_the_newest_thousand(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """An absent phone costs a bounded queue; what it misses beyond that it gets from the sync."""
    limit = 1000
    token = user_token(broker, APP, user)
    with mqtt_user(broker.mqtt_port, f"{user}.d", token, clean=False) as client:
        client.subscribe(f"apps/{APP}/users/{user}/#")
    topic = await channel.get_exchange(names.TOPIC_EXCHANGE)
    key = client_added(APP, user, "bob")
    for number in range(limit + 10):
        body = str(number).encode()
        await topic.publish(Message(body, delivery_mode=DeliveryMode.PERSISTENT), routing_key=key)

    with mqtt_user(broker.mqtt_port, f"{user}.d", token, clean=False) as client:
        kept = [int(client.messages.get(timeout=WAIT_S).payload) for _ in range(limit)]
    with mqtt_user(broker.mqtt_port, f"{user}.d", token, clean=True) as client:
        client.connected.get(timeout=WAIT_S)  # ends the session

    assert kept == list(range(10, limit + 10))


@pytest.mark.parametrize(("size", "is_taken"), [(900_000, True), (1_100_000, False)])
async def test_a_packet_beyond_the_limit_ends_the_connection(
    broker: RunningBroker, channel: AbstractChannel, user: str, size: int, is_taken: bool
) -> None:
    """A megabyte is more than any message needs; RabbitMQ 3 has no such limit."""
    needs_packet_limits(broker)
    with logged_in(broker, APP, user) as client:
        client.publish(f"apps/{APP}/outgoing/users/{user}/messages/bob/outgoing", b"x" * size)
        with contextlib.suppress(queue.Empty):
            (client.acknowledged if is_taken else client.disconnected).get(timeout=WAIT_S)

    assert sum((await depths(channel, broker)).values()) == is_taken


async def test_a_connect_packet_beyond_the_limit_is_not_read(broker: RunningBroker, user: str) -> None:
    """Nobody fills the broker's memory before he has logged in."""
    needs_packet_limits(broker)
    with socket.create_connection(("127.0.0.1", broker.mqtt_port), timeout=WAIT_S) as line:
        line.sendall(b"\x10\xff\xff\xff\x7f")  # CONNECT, 268,435,455 bytes to come
        line.sendall(b"\x00\x04MQTT\x04\x02\x00\x3c")
        with contextlib.suppress(ConnectionResetError):
            assert line.recv(1) == b""


async def test_the_broker_stamps_what_a_client_cannot_forge(
    broker: RunningBroker, channel: AbstractChannel, user: str
) -> None:
    """Receive time and client id come from RabbitMQ 4 itself, whatever an MQTT 5 client puts in their place."""
    needs_packet_limits(broker)
    forged = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    forged.UserProperty = [("timestamp_in_ms", "1"), ("x-opt-mqtt-client-id", "somebody.else")]
    token = user_token(broker, APP, user)
    with mqtt_user(broker.mqtt_port, f"{user}.d", token, version=MQTTProtocolVersion.MQTTv5) as client:
        client.connected.get(timeout=WAIT_S)
        client.client.publish(outgoing(APP, user, "bob").replace(".", "/"), b"{}", qos=1, properties=forged)
        client.acknowledged.get(timeout=WAIT_S)
    [shard] = await depths(channel, broker)
    message = await first_message(channel, shard)

    stamp = message.headers["timestamp_in_ms"]
    assert isinstance(stamp, int)
    assert stamp > 1
    assert message.headers["x-opt-mqtt-client-id"] == f"{user}.d"
