"""What the broker does when something is too much: a full shard, a full machine, a long absence, a large packet."""

import contextlib
import queue
import socket
from dataclasses import dataclass

import pytest
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import DeliveryError
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from observer.broker import names
from observer.tokens.scopes import client_id, standard_scopes
from observer.topics import client_added, outgoing
from tests.services.broker_clients import (
    WAIT_S,
    logged_in,
    mqtt_user,
    signed_token,
    user_token,
)
from tests.services.queues import depths, first_message, policy, purge, until
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker

APP = "limits"


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
            broker.mqtt_port,
            client_id(APP, user, "d"),
            user_token(broker, APP, user),
            version=MQTTProtocolVersion.MQTTv5,
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
        *standard_scopes(APP, user)[:3],  # of her sessions
        f"rabbitmq.read:%2F/amq.topic/{key}",
        f"rabbitmq.write:%2F/amq.topic/{key}",
    ]
    token = signed_token(user, scopes, key=broker.signing_key.read_bytes(), key_id=broker.key_id)
    with mqtt_user(broker.mqtt_port, client_id(APP, user, "d"), token) as client:
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
    with mqtt_user(broker.mqtt_port, client_id(APP, user, "d"), token, clean=False) as client:
        client.subscribe(f"apps/{APP}/users/{user}/#")
    topic = await channel.get_exchange(names.TOPIC_EXCHANGE)
    key = client_added(APP, user, "bob")
    for number in range(limit + 10):
        body = str(number).encode()
        await topic.publish(Message(body, delivery_mode=DeliveryMode.PERSISTENT), routing_key=key)

    with mqtt_user(broker.mqtt_port, client_id(APP, user, "d"), token, clean=False) as client:
        kept = [int(client.messages.get(timeout=WAIT_S).payload) for _ in range(limit)]
    with mqtt_user(broker.mqtt_port, client_id(APP, user, "d"), token, clean=True) as client:
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


async def test_a_connect_packet_beyond_the_limit_is_not_read(broker: RunningBroker) -> None:
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
    with mqtt_user(broker.mqtt_port, client_id(APP, user, "d"), token, version=MQTTProtocolVersion.MQTTv5) as client:
        client.connected.get(timeout=WAIT_S)
        client.client.publish(outgoing(APP, user, "bob").replace(".", "/"), b"{}", qos=1, properties=forged)
        client.acknowledged.get(timeout=WAIT_S)
    [shard] = await depths(channel, broker)
    message = await first_message(channel, shard)

    stamp = message.headers["timestamp_in_ms"]
    assert isinstance(stamp, int)
    assert stamp > 1
    assert message.headers["x-opt-mqtt-client-id"] == client_id(APP, user, "d")
