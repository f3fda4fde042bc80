"""What a terminal chat shows, and when a message counts as accepted."""

import json
import time
from typing import Any

import pytest

from observer.chat.connection import address
from observer.chat.talk import MAX_SHOWN, Talk, printable
from observer.errors import ConfigError


def copy(**fields: Any) -> dict[str, Any]:
    usual = {"message_id": "m", "sender": "bob", "recipient": "alice", "text": "hi", "type": "text"}
    return usual | {"timestamp": int(time.time() * 1000)} | fields


def shown(line: str | None) -> str:
    assert line is not None
    return line.partition(" ")[2]


def test_a_message_is_shown_once_whether_it_comes_live_or_from_the_history() -> None:
    talk = Talk("alice", "bob")
    assert shown(talk.take(copy())) == "bob: hi"
    assert talk.take(copy()) is None


def test_ones_own_message_is_pending_until_its_copy_comes_back_and_then_has_a_mark() -> None:
    talk = Talk("alice", "bob")
    sent = json.loads(talk.compose("ciao"))
    assert list(talk.pending.values()) == ["ciao"]
    line = talk.take(copy(sender="alice", recipient="bob", text="ciao", client_message_id=sent["client_message_id"]))
    assert shown(line) == "alice: ciao ✓"
    assert not talk.pending


def test_a_refusal_names_the_message_and_the_reason_and_ends_its_waiting() -> None:
    talk = Talk("alice", "bob")
    sent = json.loads(talk.compose("ciao"))
    refusal = {"code": "rate_limited", "reason": "too many", "retry_after_s": 2.0}
    line = talk.take_refusal(refusal | {"client_message_id": sent["client_message_id"]})
    assert line == "✗ not sent: ciao\n  too many (rate_limited); try again in 2 s"
    assert not talk.pending
    assert talk.refused == 1


def test_a_refusal_without_a_client_message_id_is_shown_too() -> None:
    assert Talk("alice", "bob").take_refusal({"code": "c", "reason": "r"}) == "✗ not sent\n  r (c)"


def test_only_what_belongs_to_this_conversation_moves_the_read_marker() -> None:
    talk = Talk("alice", "bob")
    talk.take(copy(message_id="1"))
    talk.take(copy(message_id="2", sender="carol"))
    assert talk.last_read == "1"


def test_what_somebody_else_wrote_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r\n\x07c") == "a\ufffd[2Jb\ufffd\ufffd\ufffdc"
    assert printable("\u202eabc") == "\ufffdabc"
    assert printable("grüß 👋") == "grüß 👋"


def test_a_very_long_message_is_cut() -> None:
    assert printable("x" * (MAX_SHOWN + 1)) == "x" * MAX_SHOWN + "…"


@pytest.mark.parametrize(("text", "line"), [(None, "[image] "), ("a cat", "[image] a cat"), (7, "[image] ")])
def test_what_is_not_text_is_named(text: object, line: str) -> None:
    assert shown(Talk("alice", "bob").take(copy(type="image", text=text))) == f"bob: {line}"


def test_an_mqtt_url_gives_host_and_port() -> None:
    assert address("mqtt://127.0.0.1:1884") == ("127.0.0.1", 1884)
    assert address("mqtt://broker") == ("broker", 1883)
    with pytest.raises(ConfigError, match="--mqtt-url"):
        address("ws://broker")
