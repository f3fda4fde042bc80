"""Who may do what on the broker, as rabbitmq/README.md promises it ("Who may log in", "What the observer may")."""

import base64
import contextlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator

import aiormq
import httpx
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused
from yarl import URL

from observer.broker import names
from observer.setup.broker_keys import hand_over_keys
from observer.setup.certificates import ensure_certificates
from observer.setup.signing_keys import SharedKey, as_broker_key
from observer.tokens.keys import decode_key, generate_key, read_ring
from observer.tokens.scopes import client_id, standard_scopes
from observer.topics import client_added, outgoing
from tests.services.broker_clients import (
    WAIT_S,
    logged_in,
    mqtt_user,
    observer_url,
    signed_token,
    user_token,
)
from tests.services.rabbitmq import RunningBroker, running_broker

pytestmark = pytest.mark.broker

APP = "access"


async def test_a_user_token_opens_no_amqp_connection(broker: RunningBroker) -> None:
    """With one, even the tightest scopes could forge any message (docs/facts.md, "Tokens over AMQP")."""
    url = URL(observer_url(broker)).with_user("token").with_password(user_token(broker, APP, "mallory"))
    connection = aiormq.Connection(url.update_query(auth="plain"))

    with pytest.raises(aiormq.exceptions.AuthenticationError):
        await connection.connect()


@pytest.mark.parametrize("given", ["none", "of another authority"])
async def test_amqp_wants_a_certificate_of_our_authority(
    broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory, given: str
) -> None:
    """Who has none is offered no way to log in; a foreign one does not get through the TLS handshake."""
    url = URL(observer_url(broker))
    if given == "none":
        url = url.without_query_params("certfile", "keyfile")
    else:
        other = tmp_path_factory.mktemp("other")
        ensure_certificates(other, server_names=["localhost"])
        url = url.update_query(certfile=str(other / "observer.pem"), keyfile=str(other / "observer.key"))

    with pytest.raises((aiormq.exceptions.AMQPError, OSError)):
        await aiormq.Connection(url).connect()


@pytest.mark.parametrize("password", [None, "", "observer", "guest"])
def test_the_observers_name_opens_nothing_by_password(broker: RunningBroker, password: str | None) -> None:
    """It has no password: its certificate is the only way in."""
    with mqtt_user(broker.mqtt_port, "observer.x", password, username="observer") as client:
        assert client.connected.get(timeout=WAIT_S).is_failure


def test_there_is_no_guest(broker: RunningBroker) -> None:
    """The account of a fresh RabbitMQ, whose password everybody knows."""
    with mqtt_user(broker.mqtt_port, "guest.x", "guest", username="guest") as client:
        assert client.connected.get(timeout=WAIT_S).is_failure


def test_a_user_token_opens_no_management(broker: RunningBroker) -> None:
    """Management would show every connection and queue."""
    token = user_token(broker, APP, "mallory")

    answer = httpx.get(
        f"http://127.0.0.1:{broker.management_port}/api/overview", headers={"Authorization": f"Bearer {token}"}
    )

    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("exchange", "routing_key"),
    [
        ("", names.shard_queue(0)),
        ("", "mqtt-subscription-app.somebody.deviceqos1"),
        ("amq.direct", "x"),
        ("amq.fanout", "x"),
        (names.SHARD_EXCHANGE, outgoing(APP, "alice", "bob")),
        (names.TOPIC_EXCHANGE, "apps.access.presence"),
        (names.TOPIC_EXCHANGE, "other"),
    ],
)
async def test_the_observer_publishes_nowhere_else(channel: AbstractChannel, exchange: str, routing_key: str) -> None:
    """A stolen certificate is worth what the observer needs, and no more."""
    target = channel.default_exchange if exchange == "" else await channel.get_exchange(exchange, ensure=False)

    with pytest.raises(ChannelAccessRefused):
        await target.publish(Message(b"x"), routing_key=routing_key)


@pytest.mark.parametrize(
    ("exchange", "routing_key"),
    [
        (names.TOPIC_EXCHANGE, client_added(APP, "alice", "bob")),
        (names.TOPIC_EXCHANGE, outgoing(APP, "alice", "bob")),
        (names.DEAD_EXCHANGE, names.DEAD_ROUTING_KEY),
        (names.MEMBER_EXCHANGE, ""),
        *((names.retry_queue(delay_s), outgoing(APP, "alice", "bob")) for delay_s in names.RETRY_DELAYS_S),
    ],
)
async def test_the_observer_publishes_what_it_must(channel: AbstractChannel, exchange: str, routing_key: str) -> None:
    """Inbox copies, messages sent over HTTP, retries, dead letters, and its sign of life."""
    target = await channel.get_exchange(exchange)

    await target.publish(Message(b"x"), routing_key=routing_key, mandatory=False)


async def test_the_observer_declares_and_deletes_only_its_member_queue(channel: AbstractChannel) -> None:
    """It consumes what the set-up declared, and cannot take it away."""
    name = names.MEMBER_QUEUE_PREFIX + uuid.uuid4().hex
    member = await channel.declare_queue(name, exclusive=True, auto_delete=True)
    await member.bind(names.MEMBER_EXCHANGE)
    await member.delete()

    with pytest.raises(ChannelAccessRefused):
        await channel.queue_delete(names.shard_queue(0))


async def test_the_observer_declares_no_other_queue(channel: AbstractChannel) -> None:
    """Nor one that could pass for a user's session."""
    with pytest.raises(ChannelAccessRefused):
        await channel.declare_queue("mqtt-subscription-app.somebody.deviceqos1")


def test_both_signing_keys_are_trusted(broker: RunningBroker) -> None:
    """So that a rotation needs no pause: what is signed with the next key is good before it is used."""
    ring = read_ring(broker.keys_dir)

    for name, key in (("current", ring.current), ("next", ring.next)):
        private = (broker.keys_dir / f"{name}.pem").read_bytes()
        token = signed_token(name, standard_scopes(APP, name), key=private, key_id=key.kid)
        with mqtt_user(broker.mqtt_port, client_id(APP, name, "x"), token) as client:
            assert not client.connected.get(timeout=WAIT_S).is_failure


def test_a_running_broker_takes_a_new_key_and_drops_an_old_one(broker: RunningBroker) -> None:
    """Without a restart, and without closing a connection."""
    private = generate_key()
    new = decode_key(private, "RS256", shown_as="new")
    token = signed_token("dora", standard_scopes(APP, "dora"), key=private, key_id=new.kid)
    with keys_restored(broker), logged_in(broker, APP, "carl") as carl:
        assert is_refused(broker, "dora", token)
        hand_over_keys([as_broker_key(new)], lambda expression: broker.rabbitmqctl("eval", expression))

        assert not is_refused(broker, "dora", token)
        assert is_refused(broker, "erin", user_token(broker, APP, "erin"))
        assert not carl.publish_acknowledged(f"apps/{APP}/outgoing/users/carl/messages/bob/outgoing").is_failure


@contextlib.contextmanager
def keys_restored(broker: RunningBroker) -> Iterator[None]:
    """The broker's own keys are back afterwards."""
    try:
        yield
    finally:
        keys = [as_broker_key(key) for key in read_ring(broker.keys_dir)]
        hand_over_keys(keys, lambda expression: broker.rabbitmqctl("eval", expression))


def is_refused(broker: RunningBroker, user: str, token: str) -> bool:
    """Whether the broker refuses this log-in."""
    with mqtt_user(broker.mqtt_port, client_id(APP, user, str(time.monotonic_ns())), token) as client:
        return client.connected.get(timeout=WAIT_S).is_failure


def test_a_shared_key_is_taken_beside_the_others() -> None:
    """The chat21 profile's HS256 key, while RS256 tokens stay good; and no public key passes for a shared one."""
    secret = b"0123456789abcdef0123456789abcdef"
    with running_broker(shards=1, shared_key=SharedKey("tiledesk-key", secret)) as broker:
        public = read_ring(broker.keys_dir).current.public_pem().strip().encode()
        good = hs256_token(secret, "tiledesk-key")
        bad = hs256_token(secret[::-1], "tiledesk-key")
        confused = hs256_token(public, broker.key_id)

        assert not is_refused(broker, "old", good)
        assert not is_refused(broker, "new", user_token(broker, APP, "new"))
        assert is_refused(broker, "old", bad)
        assert is_refused(broker, "old", confused)


def hs256_token(secret: bytes, key_id: str) -> str:
    """A token of the user `old`; made by hand, because no library signs with a public key."""
    claims = {"sub": "old", "aud": "rabbitmq", "exp": int(time.time()) + 600, "scope": standard_scopes(APP, "old")}
    signed = b".".join(unpadded(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": key_id}, claims))
    return (signed + b"." + unpadded(hmac.digest(secret, signed, "sha256"))).decode()


def unpadded(content: bytes) -> bytes:
    """Base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=")


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_clients_connect_over_tls_of_our_authority(broker: RunningBroker, transport: str) -> None:
    """MQTT and WebSocket over TLS present a certificate that ca.pem vouches for."""
    port = broker.mqtts_port if transport == "tcp" else broker.websockets_port
    token = user_token(broker, APP, "tess")
    ca_file = str(broker.directory / "ca.pem")
    with mqtt_user(port, client_id(APP, "tess", "x"), token, transport=transport, ca_file=ca_file) as client:
        assert not client.connected.get(timeout=WAIT_S).is_failure
