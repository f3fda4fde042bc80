"""Clients of a real broker, as tests need them: a token, an MQTT connection, the observer's own AMQP line."""

import queue
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import jwt
from aio_pika import connect
from aio_pika.abc import AbstractChannel
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from observer.tokens.scopes import client_id, standard_scopes
from tests.services.rabbitmq import RunningBroker

WAIT_S = 30.0


def signed_token(
    user: str, scopes: Sequence[str], *, key: str | bytes, key_id: str, algorithm: str = "RS256", ttl_s: int = 600
) -> str:
    """A broker token, signed with this key."""
    claims = {"sub": user, "aud": "rabbitmq", "exp": int(time.time()) + ttl_s, "scope": list(scopes)}
    return jwt.encode(claims, key, algorithm=algorithm, headers={"kid": key_id})


def user_token(broker: RunningBroker, app: str, user: str) -> str:
    """The token of one user, signed with the broker's current key."""
    return signed_token(user, standard_scopes(app, user), key=broker.signing_key.read_bytes(), key_id=broker.key_id)


@dataclass(slots=True)
class MqttUser:
    """A connected MQTT client; what happens to it is put into queues, so that a test waits for it."""

    client: Client
    connected: "queue.Queue[ReasonCode]" = field(default_factory=queue.Queue)
    messages: "queue.Queue[MQTTMessage]" = field(default_factory=queue.Queue)
    acknowledged: "queue.Queue[tuple[int, ReasonCode]]" = field(default_factory=queue.Queue)
    disconnected: "queue.Queue[ReasonCode]" = field(default_factory=queue.Queue)
    subscribed: "queue.Queue[list[ReasonCode]]" = field(default_factory=queue.Queue)

    def subscribe(self, topic: str, qos: int = 1) -> list[ReasonCode]:
        """Subscribe and return the broker's answer."""
        self.client.subscribe(topic, qos)
        return self.subscribed.get(timeout=WAIT_S)

    def publish(self, topic: str, payload: bytes = b"{}", *, retain: bool = False) -> int:
        """Publish with QoS 1 and return the packet's number at once."""
        return self.client.publish(topic, payload, qos=1, retain=retain).mid

    def publish_acknowledged(self, topic: str, payload: bytes = b"{}", *, retain: bool = False) -> ReasonCode:
        """Publish with QoS 1 and wait for the broker's answer."""
        number = self.publish(topic, payload, retain=retain)
        answered, code = self.acknowledged.get(timeout=WAIT_S)
        assert answered == number
        return code


@contextmanager
def mqtt_user(
    port: int,
    client_id: str,
    password: str | None,
    *,
    username: str = "token",
    version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311,
    clean: bool = True,
    transport: str = "tcp",
    ca_file: str | None = None,
) -> Iterator[MqttUser]:
    """A client whose CONNECT was answered; the answer waits in `connected`."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if version == MQTTProtocolVersion.MQTTv5 else clean,
        protocol=version,
        transport="websockets" if transport == "websockets" else "tcp",
        reconnect_on_failure=False,
    )
    client.username_pw_set(username, password)
    if transport == "websockets":
        client.ws_set_options(path="/ws")
    if ca_file is not None:
        client.tls_set(ca_certs=ca_file, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    user = MqttUser(client)
    _listen(user)
    client.connect("127.0.0.1", port, keepalive=30)
    client.loop_start()
    try:
        yield user
    finally:
        client.disconnect()
        client.loop_stop()


def _listen(user: MqttUser) -> None:
    def on_connect(_c: Client, _u: object, _f: ConnectFlags, code: ReasonCode, _p: Properties | None) -> None:
        user.connected.put(code)

    def on_message(_c: Client, _u: object, message: MQTTMessage) -> None:
        user.messages.put(message)

    def on_publish(_c: Client, _u: object, number: int, code: ReasonCode, _p: Properties) -> None:
        user.acknowledged.put((number, code))

    def on_disconnect(_c: Client, _u: object, _f: DisconnectFlags, code: ReasonCode, _p: Properties | None) -> None:
        user.disconnected.put(code)

    def on_subscribe(_c: Client, _u: object, _n: int, codes: list[ReasonCode], _p: Properties | None) -> None:
        user.subscribed.put(codes)

    user.client.on_connect = on_connect
    user.client.on_message = on_message
    user.client.on_publish = on_publish
    user.client.on_disconnect = on_disconnect
    user.client.on_subscribe = on_subscribe


@contextmanager
def logged_in(broker: RunningBroker, app: str, user: str, *, device: str = "device") -> Iterator[MqttUser]:
    """A user's client with his own tight token, connected."""
    token = user_token(broker, app, user)
    with mqtt_user(broker.mqtt_port, client_id(app, user, device), token) as client:
        assert client.connected.get(timeout=WAIT_S) == 0
        yield client


def observer_url(broker: RunningBroker) -> str:
    """AMQP address with which the observer logs in: by its certificate."""
    folder = broker.directory
    files = f"cafile={folder}/ca.pem&certfile={folder}/observer.pem&keyfile={folder}/observer.key"
    return f"amqps://127.0.0.1:{broker.amqps_port}/?auth=external&{files}"


@asynccontextmanager
async def observer_channel(broker: RunningBroker) -> AsyncIterator[AbstractChannel]:
    """A channel with confirms, logged in as the observer is."""
    async with await connect(observer_url(broker)) as connection:
        yield await connection.channel()
