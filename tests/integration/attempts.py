"""One attempt at a time against a real broker: connect, subscribe, publish; was it allowed or refused?

Driven by hand in the caller's thread, so that a test can run dozens side by side: RabbitMQ 4.3 answers a refused
CONNECT only after three seconds.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from observer.tokens.base import IssuedToken

ANSWER_S = 30.0
SIDE_BY_SIDE = 12
Case = TypeVar("Case")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Login:
    """How to connect."""

    port: int
    client_id: str
    username: str | None
    password: str | None
    version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311
    is_clean: bool = True
    transport: str = "tcp"
    will: str | None = None


def login_of(issued: IssuedToken, port: int, **changes: Any) -> Login:
    """The way that a client connects which does as it was told."""
    return Login(**{
        "port": port,
        "client_id": issued.client_id,
        "username": issued.username,
        "password": issued.token,
        **changes,
    })  # fmt: skip


class Line:
    """One MQTT connection. Each call waits for the broker's answer: True for yes, False for no or a closed line."""

    def __init__(self, login: Login) -> None:
        is_v5 = login.version is MQTTProtocolVersion.MQTTv5
        self._answers: list[bool] = []
        self._is_closed = False
        self.received: list[str] = []
        self.has_session = False
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            login.client_id,
            clean_session=None if is_v5 else login.is_clean,
            protocol=login.version,
            transport="websockets" if login.transport == "websockets" else "tcp",
            reconnect_on_failure=False,
        )
        if login.transport == "websockets":
            self.client.ws_set_options(path="/ws")
        if login.username is not None:
            self.client.username_pw_set(login.username, login.password)
        if login.will is not None:
            self.client.will_set(login.will, b"{}", qos=1)
        self._port = login.port
        self._listen()

    def connect(self) -> bool:
        self.client.connect("127.0.0.1", self._port, keepalive=60)
        return self._answer()

    def subscribe(self, topic_filter: str, *, qos: int = 0) -> bool:
        self.client.subscribe(topic_filter, qos)
        return self._answer()

    def publish(self, topic: str) -> bool:
        self.client.publish(topic, b"{}", qos=1)
        return self._answer()

    def wait_for(self, topic: str) -> None:
        """Return when a message arrived at this topic."""
        self._loop_until(lambda: topic in self.received)
        assert topic in self.received, f"the line was closed before anything came to {topic}"

    def wait_until_closed(self) -> None:
        """Return when the broker has closed the line."""
        self._loop_until(lambda: False)

    def cut(self) -> None:
        """Go without a word, as a phone in a tunnel."""
        line = self.client.socket()
        assert line is not None
        line.close()

    def _answer(self) -> bool:
        self._loop_until(lambda: bool(self._answers))
        return self._answers.pop() if self._answers else False

    def _loop_until(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + ANSWER_S
        while not is_done() and not self._is_closed:
            assert time.monotonic() < deadline, "the broker gave no answer"
            self._is_closed = self.client.loop(0.5) is not MQTTErrorCode.MQTT_ERR_SUCCESS or self._is_closed

    def _listen(self) -> None:
        def on_connect(_client: Client, _data: Any, flags: Any, code: Any, _properties: Any) -> None:
            self.has_session = bool(flags.session_present)
            self._answers.append(not code.is_failure)

        def on_subscribe(_client: Client, _data: Any, _number: int, codes: list[Any], _properties: Any) -> None:
            self._answers.append(not codes[0].is_failure)

        def on_publish(_client: Client, _data: Any, _number: int, code: Any, _properties: Any) -> None:
            self._answers.append(not code.is_failure)

        def on_disconnect(_client: Client, _data: Any, _flags: Any, _code: Any, _properties: Any) -> None:
            self._is_closed = True

        def on_message(_client: Client, _data: Any, message: Any) -> None:
            self.received.append(message.topic)

        self.client.on_connect = on_connect
        self.client.on_subscribe = on_subscribe
        self.client.on_publish = on_publish
        self.client.on_disconnect = on_disconnect
        self.client.on_message = on_message


@contextmanager
def line(login: Login) -> Iterator[Line]:
    """A line that is closed in order afterwards; not connected yet."""
    made = Line(login)
    try:
        yield made
    finally:
        made.client.disconnect()
        made.client.loop(0.1)


def may_connect(login: Login) -> bool:
    """Whether the broker lets this client in."""
    with line(login) as made:
        return made.connect()


def may_subscribe(login: Login, topic_filter: str, *, qos: int = 0) -> bool:
    """Whether a client that gets in may subscribe to this."""
    with line(login) as made:
        return made.connect() and made.subscribe(topic_filter, qos=qos)


def may_publish(login: Login, topic: str) -> bool:
    """Whether a client that gets in may publish to this."""
    with line(login) as made:
        return made.connect() and made.publish(topic)


def allowed(cases: Sequence[Case], attempt: Callable[[Case], bool]) -> list[Case]:
    """Those cases that the broker allowed, tried side by side."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return [case for case, is_allowed in zip(cases, pool.map(attempt, cases), strict=True) if is_allowed]
