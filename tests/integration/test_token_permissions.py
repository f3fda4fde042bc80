"""Promise 6 on a real broker: a user's token allows nothing that touches another user.

The matrix of attempts is generated: who attacks whom, by which way, at which topic.
"""

import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import BinaryIO

import httpx
import pytest
from aio_pika import Message
from paho.mqtt.enums import MQTTProtocolVersion

from observer.setup.broker_keys import hand_over_keys
from observer.setup.signing_keys import as_broker_key
from observer.tokens.base import IssuedToken
from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import KeyStore, SigningKey, read_ring
from observer.tokens.rotation import confirm_next, rotate_keys
from observer.tokens.scopes import chat21_scopes, client_id, standard_scopes
from observer.topics import APP_MAX_LENGTH, ID_MAX_LENGTH
from tests.integration.attempts import Login, allowed, line, login_of, may_connect, may_publish, may_subscribe
from tests.integration.bad_logins import bad_logins, signed
from tests.integration.foreign import APP, PAIRS, STRANGERS, Someone, foreign_filters, foreign_topics
from tests.services.broker_clients import observer_channel
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def tokens(shared_broker: RunningBroker) -> BrokerTokens:
    return BrokerTokens(KeyStore(shared_broker.keys_dir))


@pytest.fixture(scope="module")
def key(shared_broker: RunningBroker) -> SigningKey:
    """The key that the broker believes now."""
    return read_ring(shared_broker.keys_dir).current


@pytest.fixture
def versions(broker: RunningBroker) -> list[MQTTProtocolVersion]:
    """MQTT 5 from RabbitMQ 4 on."""
    return [MQTTProtocolVersion.MQTTv311, *([MQTTProtocolVersion.MQTTv5] if broker.version >= (4, 0) else [])]


def test_a_token_is_enough_for_its_user(
    broker: RunningBroker, tokens: BrokerTokens, versions: list[MQTTProtocolVersion]
) -> None:
    """Subscribe with either QoS, clean or persistent, and send, over TCP and over WebSocket."""
    ports = {"tcp": broker.mqtt_port, "websockets": broker.websocket_port}
    cases = list(product(ports, versions, (True, False), (0, 1)))

    def attempt(case: tuple[str, MQTTProtocolVersion, bool, int]) -> bool:
        transport, version, is_clean, qos = case
        issued = tokens.issue(APP, "alice")
        login = login_of(issued, ports[transport], transport=transport, version=version, is_clean=is_clean)
        with line(login) as made:
            steps = made.connect() and made.subscribe(issued.subscribe, qos=qos)
            return steps and made.publish(issued.publish.replace("{recipient}", "bob"))

    assert allowed(cases, attempt) == cases


async def test_what_arrives_in_the_inbox_is_received(broker: RunningBroker, tokens: BrokerTokens) -> None:
    issued = tokens.issue(APP, "alice")
    with line(login_of(issued, broker.mqtt_port)) as made:
        assert made.connect()
        assert made.subscribe(issued.subscribe)
        await publish(broker, f"apps.{APP}.users.alice.messages.bob.clientadded")
        made.wait_for(f"apps/{APP}/users/alice/messages/bob/clientadded")


async def publish(broker: RunningBroker, routing_key: str) -> None:
    """Publish as the observer."""
    async with observer_channel(broker) as channel:
        exchange = await channel.get_exchange("amq.topic", ensure=False)
        await exchange.publish(Message(b"{}", delivery_mode=2), routing_key, mandatory=False)


@pytest.mark.parametrize(("me", "other"), PAIRS)
def test_nobody_reads_what_is_not_his(
    broker: RunningBroker, tokens: BrokerTokens, versions: list[MQTTProtocolVersion], me: str, other: str
) -> None:
    cases = list(product(foreign_filters(me, other), (0, 1), versions))

    def attempt(case: tuple[str, int, MQTTProtocolVersion]) -> bool:
        topic_filter, qos, version = case
        return may_subscribe(login_of(tokens.issue(APP, me), broker.mqtt_port, version=version), topic_filter, qos=qos)

    assert allowed(cases, attempt) == []


@pytest.mark.parametrize(("me", "other"), PAIRS)
def test_nobody_writes_what_is_not_his(
    broker: RunningBroker, tokens: BrokerTokens, versions: list[MQTTProtocolVersion], me: str, other: str
) -> None:
    """Not into another's topics, not past the observer into any inbox, one's own included."""
    cases = list(product(foreign_topics(me, other), versions))

    def attempt(case: tuple[str, MQTTProtocolVersion]) -> bool:
        topic, version = case
        return may_publish(login_of(tokens.issue(APP, me), broker.mqtt_port, version=version), topic)

    assert allowed(cases, attempt) == []


@pytest.mark.parametrize(("me", "other"), STRANGERS)
async def test_nobody_takes_over_a_session_by_its_client_id(
    broker: RunningBroker, tokens: BrokerTokens, versions: list[MQTTProtocolVersion], me: Someone, other: Someone
) -> None:
    """Even who knows another's client id gets nothing out of his session, and does not end it."""
    attacker = tokens.issue(*me)
    cases = {case: tokens.issue(*other) for case in product(versions, (True, False), (0, 1))}
    for victim in cases.values():
        assert may_subscribe(login_of(victim, broker.mqtt_port, is_clean=False), victim.subscribe, qos=1)
    topic = f"apps/{other.app}/users/{other.user}/messages/bob/clientadded"
    await publish(broker, topic.replace("/", "."))

    def attempt(case: tuple[MQTTProtocolVersion, bool, int]) -> bool:
        version, is_clean, qos = case
        name = cases[case].client_id
        login = login_of(attacker, broker.mqtt_port, client_id=name, version=version, is_clean=is_clean)
        return may_subscribe(login, attacker.subscribe, qos=qos)

    assert allowed(list(cases), attempt) == []
    for victim in cases.values():
        with line(login_of(victim, broker.mqtt_port, is_clean=False)) as made:
            assert made.connect()
            assert made.has_session
            made.wait_for(topic)
        assert may_connect(login_of(victim, broker.mqtt_port)), "leaves no session behind"


@pytest.mark.parametrize(("me", "other"), STRANGERS)
def test_nobody_makes_a_session_under_the_client_id_of_another(
    broker: RunningBroker, tokens: BrokerTokens, versions: list[MQTTProtocolVersion], me: Someone, other: Someone
) -> None:
    """What it holds would wait for the other, or what is for the other for who made it."""
    attacker = tokens.issue(*me)
    cases = list(product(versions, (True, False), (0, 1)))

    def attempt(case: tuple[MQTTProtocolVersion, bool, int]) -> bool:
        version, is_clean, qos = case
        unused = tokens.issue(*other).client_id
        login = login_of(attacker, broker.mqtt_port, client_id=unused, version=version, is_clean=is_clean)
        return may_subscribe(login, attacker.subscribe, qos=qos)

    assert allowed(cases, attempt) == []


def test_the_longest_ids_make_a_session(
    broker: RunningBroker, tokens: BrokerTokens, versions: list[MQTTProtocolVersion]
) -> None:
    """Its queue's name is 184 bytes long, of the 255 that AMQP allows."""
    issued = tokens.issue("-" * APP_MAX_LENGTH, "u" * ID_MAX_LENGTH, device="d" * ID_MAX_LENGTH)
    for version, qos in product(versions, (0, 1)):
        persistent = login_of(issued, broker.mqtt_port, is_clean=False, version=version)
        assert may_subscribe(persistent, issued.subscribe, qos=qos)
        assert may_connect(replace(persistent, is_clean=True)), "leaves no session behind"


def test_a_will_reaches_nobody_elses_topics(broker: RunningBroker, tokens: BrokerTokens, key: SigningKey) -> None:
    """A forbidden will is dropped; one on a topic that the token allows shows that wills are sent at all."""
    presence = f"apps/{APP}/users/bob/presence/x"
    forged = f"apps/{APP}/users/bob/messages/alice/clientadded"
    bob, alice = tokens.issue(APP, "bob"), tokens.issue(APP, "alice")
    allowed_will = replace(bob, token=signed(key, "bob", chat21_scopes(APP, "bob")))
    with line(login_of(bob, broker.mqtt_port)) as inbox:
        assert inbox.connect()
        assert inbox.subscribe(bob.subscribe)
        for issued, will in ((alice, forged), (bob, forged), (allowed_will, presence)):
            dying = line(login_of(issued, broker.mqtt_port, client_id=client_id(APP, issued.user, "dying"), will=will))
            with dying as made:
                assert made.connect()
                made.cut()
        inbox.wait_for(presence)
        assert inbox.received == [presence]


@pytest.mark.parametrize("has_certificate", [False, True])
def test_a_token_opens_no_amqp_connection(broker: RunningBroker, has_certificate: bool) -> None:
    """There it could forge any message (docs/facts.md, "Tokens over AMQP"): no password is taken."""
    context = ssl.create_default_context(cafile=str(broker.directory / "ca.pem"))
    if has_certificate:
        context.load_cert_chain(broker.directory / "observer.pem", broker.directory / "observer.key")
    greetings = [amqp_greeting(broker, context)]
    if broker.version >= (4, 0):
        greetings.append(amqp_1_greeting(broker, context))
    assert all(b"EXTERNAL" in greeting and b"PLAIN" not in greeting for greeting in greetings)


def amqp_greeting(broker: RunningBroker, context: ssl.SSLContext) -> bytes:
    """The frame Connection.Start of AMQP 0-9-1, which names the ways to log in."""
    with amqp_line(broker, context, b"AMQP\x00\x00\x09\x01") as greeting:
        head = greeting.read(7)
        return head + greeting.read(int.from_bytes(head[3:7], "big"))


def amqp_1_greeting(broker: RunningBroker, context: ssl.SSLContext) -> bytes:
    """The frame sasl-mechanisms of AMQP 1.0, after the echoed header."""
    with amqp_line(broker, context, b"AMQP\x03\x01\x00\x00") as greeting:
        head = greeting.read(12)
        return head + greeting.read(int.from_bytes(head[8:12], "big") - 4)


@contextmanager
def amqp_line(broker: RunningBroker, context: ssl.SSLContext, protocol: bytes) -> Iterator[BinaryIO]:
    """What the AMQP listener says to this protocol header."""
    with (
        socket.create_connection(("127.0.0.1", broker.amqps_port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
        secure.makefile("rb") as greeting,
    ):
        secure.sendall(protocol)
        yield greeting


def test_a_token_opens_no_management_interface(broker: RunningBroker, tokens: BrokerTokens) -> None:
    issued = tokens.issue(APP, "alice")
    address = f"http://127.0.0.1:{broker.management_port}/api"
    with httpx.Client(trust_env=False) as client:
        for path, login in product(
            ("whoami", "queues", "connections", "definitions"),
            ({"auth": (issued.username, issued.token)}, {"headers": {"Authorization": f"Bearer {issued.token}"}}),
        ):
            assert client.get(f"{address}/{path}", **login).status_code == 401  # type: ignore[arg-type]


def test_a_token_is_good_for_one_virtual_host(broker: RunningBroker, tokens: BrokerTokens) -> None:
    """A `:` in the MQTT user name selects another one."""
    issued = tokens.issue(APP, "alice")
    broker.rabbitmqctl("add_vhost", "perm-vhost")
    try:
        assert not may_connect(login_of(issued, broker.mqtt_port, username=f"perm-vhost:{issued.username}"))
    finally:
        broker.rabbitmqctl("delete_vhost", "perm-vhost")


def test_what_is_no_valid_token_opens_nothing(broker: RunningBroker, tokens: BrokerTokens, key: SigningKey) -> None:
    logins = bad_logins(login_of(tokens.issue(APP, "alice"), broker.mqtt_port), key)
    names = allowed([*logins, "valid"], lambda name: may_connect(
        logins.get(name) or login_of(tokens.issue(APP, "alice"), broker.mqtt_port)
    ))  # fmt: skip
    assert names == ["valid"]


def test_rabbitmq_4_closes_a_connection_when_its_token_ends(broker: RunningBroker, key: SigningKey) -> None:
    """The documented bound of a revocation; 3.10 leaves such a connection open."""
    if broker.version < (4, 0):
        pytest.skip("RabbitMQ 3.10 does not end connections with their tokens (docs/security.md)")
    password = signed(key, "alice", standard_scopes(APP, "alice"), exp=int(time.time()) + 3)
    with line(Login(broker.mqtt_port, client_id(APP, "alice", "short"), "alice", password)) as made:
        assert made.connect()
        made.wait_until_closed()


@pytest.fixture
def evaluate(broker: RunningBroker) -> Iterator[Callable[[str], str]]:
    """Gives the broker keys; afterwards it has its own again."""

    def run(expression: str) -> str:
        return broker.rabbitmqctl("eval", expression)

    yield run
    hand_over_keys([as_broker_key(key) for key in read_ring(broker.keys_dir)], run)


def test_two_rotations_drop_no_connection_and_refuse_no_token(
    broker: RunningBroker, evaluate: Callable[[str], str], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(broker.keys_dir, tmp_path / "keys"))

    def issue() -> IssuedToken:
        return BrokerTokens(KeyStore(folder)).issue(APP, "alice")

    first = issue()
    with line(login_of(first, broker.mqtt_port)) as made:
        assert made.connect()
        rotate_keys(folder)
        assert may_connect(login_of(issue(), broker.mqtt_port)), "the broker knew the next key"
        hand_over_keys([as_broker_key(key) for key in read_ring(folder)], evaluate)
        confirm_next(folder)
        rotate_keys(folder)
        second, again = issue(), login_of(first, broker.mqtt_port, client_id=client_id(APP, "alice", "again"))
        assert may_connect(login_of(second, broker.mqtt_port)), "the broker was given the key after that"
        assert may_connect(again), "old tokens live on"
        assert made.publish(first.publish.replace("{recipient}", "bob")), "the first connection is still open"
