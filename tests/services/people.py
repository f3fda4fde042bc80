"""People who chat: real MQTT clients (paho-mqtt) with tokens of our own making."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from observer import topics
from observer.tokens.base import IssuedToken

TIMEOUT_S = 30.0


class Person:
    """One connected user: what he received is in `inbox` and `refusals`, decoded, in order of arrival."""

    def __init__(
        self,
        issued: IssuedToken,
        port: int,
        *,
        qos: int = 0,
        clean: bool = True,
        protocol: int = 4,
        transport: Literal["tcp", "websockets"] = "tcp",
    ) -> None:
        self.app, self.user = issued.app, issued.user
        self.inbox: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self.acknowledged: set[int] = set()
        """Packet ids of what the broker has acknowledged."""
        self._port = port
        self._qos = qos
        self._filter = issued.subscribe
        self._changed = threading.Condition()
        self._is_subscribed = False
        version = MQTTProtocolVersion(protocol)
        options: dict[str, Any] = {} if version is MQTTProtocolVersion.MQTTv5 else {"clean_session": clean}
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=issued.client_id, protocol=version, transport=transport, **options
        )
        self.client.ws_set_options(path="/ws")
        self.client.username_pw_set(issued.username, issued.token)
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        self.client.reconnect_delay_set(1, 2)

    def connect(self) -> None:
        """Connect, and subscribe to the inbox."""
        self.client.connect("127.0.0.1", self._port, keepalive=30)
        self.client.loop_start()
        self.wait_until(lambda: self._is_subscribed, "a subscription")

    def disconnect(self) -> None:
        """Leave in order."""
        self.client.disconnect()
        self.client.loop_stop()

    def send(self, recipient: str, text: str, **fields: Any) -> mqtt.MQTTMessageInfo:
        """Send one text message with QoS 1; `fields` are added to the body."""
        return self.publish(
            topics.mqtt(topics.outgoing(self.app, self.user, recipient)), {"text": text, "type": "text", **fields}
        )

    def publish(
        self, topic: str, body: Mapping[str, Any] | bytes, *, qos: int = 1, retain: bool = False
    ) -> mqtt.MQTTMessageInfo:
        """Publish anything anywhere."""
        payload = body if isinstance(body, bytes) else json.dumps(body)
        return self.client.publish(topic, payload, qos=qos, retain=retain)

    def texts(self, *, status: int | None = None) -> list[str]:
        """The texts in the inbox, of copies with this status or of all."""
        return [one.get("text", "") for one in list(self.inbox) if status in (None, one["status"])]

    def wait_until(self, is_true: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait for something that this client's messages bring about."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not is_true():
                left_s = deadline - time.monotonic()
                assert left_s > 0, f"{self.user} waited {timeout_s} s for {what}; inbox: {len(self.inbox)} messages"
                self._changed.wait(min(left_s, 0.5))

    def wait_for_texts(self, *texts: str, status: int | None = None) -> None:
        """Wait until all of these have come."""
        self.wait_until(lambda: set(texts) <= set(self.texts(status=status)), f"{len(texts)} texts")

    def wait_for_refusal(self, code: str) -> dict[str, Any]:
        """Wait for a refusal with this code and return it."""
        self.wait_until(lambda: any(one["code"] == code for one in self.refusals), f"refusal {code}")
        return next(one for one in self.refusals if one["code"] == code)

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._filter, qos=self._qos)

    def _on_subscribe(self, *_: Any) -> None:
        with self._changed:
            self._is_subscribed = True
            self._changed.notify_all()

    def _on_publish(self, _: mqtt.Client, __: Any, packet_id: int, *___: Any) -> None:
        with self._changed:
            self.acknowledged.add(packet_id)
            self._changed.notify_all()

    def _on_message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        body = json.loads(message.payload)
        with self._changed:
            (self.refusals if message.topic.endswith("/refused") else self.inbox).append(body)
            self._changed.notify_all()


@contextmanager
def connected(*people: Person) -> Iterator[None]:
    """These people are online."""
    for person in people:
        person.connect()
    try:
        yield
    finally:
        for person in people:
            person.disconnect()
