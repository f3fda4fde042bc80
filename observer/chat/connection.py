"""One user's chat over one MQTT connection (paho-mqtt), which comes back by itself when it breaks.

paho calls us from its own thread; one condition guards what both threads touch.
"""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from observer.chat.access import Access, Entry
from observer.chat.history import History, Piece
from observer.chat.screen import Screen
from observer.chat.talk import Talk
from observer.errors import BrokerUnavailable, ConfigError, ObserverError, Refused
from observer.tokens.base import RECIPIENT

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 15.0
RECONNECT_S = (1, 10)


class Connection:
    """Use as a context manager: connected, subscribed and caught up within."""

    def __init__(self, access: Access, talk: Talk, screen: Screen, *, api_url: str, history_count: int) -> None:
        self._access = access
        self._talk = talk
        self._screen = screen
        self._api_url = api_url
        self._history_count = history_count
        self._changed = threading.Condition()
        self._entry: Entry = access()
        self._cursor: str | None = None
        self._is_caught_up = False
        self._refusal: str | None = None
        self._is_leaving = False
        self._client = self._new_client()

    def __enter__(self) -> "Connection":
        """Raises BrokerUnavailable where there is no broker, Refused where it does not let us in."""
        host, port = address(self._entry.mqtt_url)
        try:
            self._client.connect(host, port, keepalive=KEEPALIVE_S)
        except OSError as error:
            raise BrokerUnavailable(f"no MQTT broker at {host}:{port}: {error}. Is it running?") from error
        self._client.loop_start()
        if not self._wait(lambda: self._is_caught_up or self._refusal is not None, CONNECT_TIMEOUT_S):
            self._client.loop_stop()
            raise BrokerUnavailable(
                f"the broker at {host}:{port} took the connection and does not answer. Is it an MQTT port?"
            )
        if self._refusal is not None:
            self._client.loop_stop()
            raise Refused(
                f"the broker at {host}:{port} does not let {self._talk.user} in: {self._refusal}. "
                "If it does not know the key that signed the token, name the settings of its set-up with --config"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._is_leaving = True
        self._client.disconnect()
        self._client.loop_stop()
        if self._talk.last_read is not None:
            self._try_history(lambda history: history.mark_read(self._talk.last_read or ""))

    def send(self, text: str) -> None:
        """Send one message; while the line is down it waits."""
        with self._changed:
            payload = self._talk.compose(text)
        topic = self._entry.publish.replace(RECIPIENT, self._talk.peer)
        self._client.publish(topic, payload, qos=1)

    def wait_until_accepted(self, timeout_s: float) -> bool:
        """Whether everything sent was accepted or refused within this time."""
        return self._wait(lambda: not self._talk.pending, timeout_s)

    def _new_client(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self._entry.client_id)
        client.username_pw_set(self._entry.username, self._entry.token)
        client.reconnect_delay_set(*RECONNECT_S)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        return client

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, code: ReasonCode, ___: Any) -> None:
        if code.is_failure:
            self._note_refusal(str(code))
        else:
            client.subscribe(self._entry.subscribe, qos=0)  # what was missed comes from the history, not from a session

    def _on_subscribe(self, _: Any, __: Any, ___: Any, codes: list[ReasonCode], ____: Any) -> None:
        if any(code.is_failure for code in codes):
            self._note_refusal("it refuses the subscription to the inbox")
            return
        if self._is_caught_up:
            self._screen.note("connected again")
        self._try_history(self._catch_up)
        with self._changed:
            self._is_caught_up = True
            self._changed.notify_all()

    def _on_message(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        body = json.loads(message.payload)
        if message.topic.endswith("/refused"):
            self._show(self._talk.take_refusal, body)
        elif message.topic.endswith("/clientadded"):
            self._show(self._talk.take, body)

    def _on_disconnect(self, _: Any, __: Any, ___: Any, code: ReasonCode, ____: Any) -> None:
        if not self._is_leaving and self._is_caught_up:
            self._screen.note(f"connection lost ({code}); trying again")
            self._renew()

    def _on_connect_fail(self, _: Any, __: Any) -> None:
        self._renew()

    def _renew(self) -> None:
        """A fresh token for the next try: the old one may be what ended the connection."""
        try:
            self._entry = self._access()
        except ObserverError as error:
            self._screen.note(str(error))
        else:
            self._client.username_pw_set(self._entry.username, self._entry.token)

    def _catch_up(self, history: History) -> None:
        if self._is_caught_up:
            piece = history.since(self._cursor)
        else:
            piece = history.latest(self._history_count)
            self._mark_new(piece)
        for message in piece.messages:
            self._show(self._talk.take, message)
        self._cursor = piece.cursor or self._cursor

    def _mark_new(self, piece: Piece) -> None:
        """Say how many messages are new since last time."""
        read = sum(1 for one in piece.messages if (one["timestamp"], one["message_id"]) <= piece.read_up_to)
        if piece.messages:
            self._screen.note(f"earlier messages: {read}, new since last time: {len(piece.messages) - read}")

    def _try_history(self, use: Callable[[History], None]) -> None:
        """The chat goes on without the API; only what was missed is missing then."""
        try:
            use(History(self._api_url, self._talk.peer, self._entry.token))
        except ObserverError as error:
            self._screen.note(f"no history: {error}")

    def _show(self, take: Callable[[Mapping[str, Any]], str | None], body: Mapping[str, Any]) -> None:
        with self._changed:
            line = take(body)
            if line is not None:
                self._screen.show(line)
            self._changed.notify_all()

    def _note_refusal(self, reason: str) -> None:
        with self._changed:
            self._refusal = reason
            self._changed.notify_all()

    def _wait(self, is_true: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(is_true, timeout_s)


def address(mqtt_url: str) -> tuple[str, int]:
    """Host and port. Raises ConfigError for a URL that is not plain MQTT."""
    url = urlsplit(mqtt_url)
    if url.scheme != "mqtt" or not url.hostname:
        raise ConfigError(f"the MQTT URL {mqtt_url!r} is not of the form mqtt://host:port; set it with --mqtt-url")
    return url.hostname, url.port or 1883
