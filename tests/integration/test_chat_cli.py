"""`observer chat` with its input piped in, against a running observer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.services.cut_line import CutLine
from tests.services.observer import API_KEY, RunningObserver, running_observer
from tests.services.people import connected
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def observer(shared_broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningObserver]:
    """One observer for all of these tests: each has people of its own."""
    with running_observer(shared_broker, tmp_path_factory.mktemp("observer")) as running:
        yield running


def command(user: str, peer: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "observer", "chat", "--user", user, "--to", peer, *arguments]


def chat(
    observer: RunningObserver, user: str, peer: str, *arguments: str, said: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(user, peer, *arguments),
        env=dict(observer.environment),
        input=said,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


@contextmanager
def staying(observer: RunningObserver, user: str, peer: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A chat whose input stays open."""
    process = subprocess.Popen(
        command(user, peer, *arguments),
        env=dict(observer.environment) | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"the chat ended without saying {text!r}")


def said_by(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdin is not None
    process.stdin.write(text + "\n")
    process.stdin.flush()


def test_piped_lines_are_sent_and_shown_with_a_mark_when_accepted(observer: RunningObserver) -> None:
    finished = chat(observer, "ann", "ben", said="first\n\nsecond\n")
    assert finished.returncode == 0, finished.stderr
    shown = finished.stdout.splitlines()
    assert [line[9:] for line in shown] == ["ann: first ✓", "ann: second ✓"]


def test_what_was_missed_is_shown_and_counted_as_new_once(observer: RunningObserver) -> None:
    chat(observer, "cat", "dan", said="are you there?\n")
    first = chat(observer, "dan", "cat")
    assert "cat: are you there?" in first.stdout
    assert "earlier messages: 0, new since last time: 1" in first.stderr
    second = chat(observer, "dan", "cat")
    assert "earlier messages: 1, new since last time: 0" in second.stderr


def test_a_token_can_come_from_the_api_with_an_api_key(observer: RunningObserver) -> None:
    environment = dict(observer.environment) | {"OBSERVER_TOKENS__KEYS_DIR": "/nowhere", "INBOX_API_KEY": API_KEY}
    finished = subprocess.run(
        command("carol", "bob"), env=environment, input="hi\n", capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert finished.returncode == 0, finished.stderr
    assert "carol: hi ✓" in finished.stdout


def test_a_wrong_api_key_gets_the_apis_own_reason(observer: RunningObserver) -> None:
    finished = chat(observer, "carol", "bob", "--api-key", "wrong", said="hi\n")
    assert finished.returncode == 1
    assert "gives no token" in finished.stderr
    assert "wrong" not in finished.stderr.replace("--", "")


def test_a_refused_message_is_told_with_its_reason(observer: RunningObserver) -> None:
    finished = chat(observer, "eva", "fay", said="x" * 30_000 + "\nfine\n")
    assert finished.returncode == 1
    assert "✗ not sent" in finished.stdout
    assert "eva: fine ✓" in finished.stdout
    assert "messages refused: 1" in finished.stderr


def test_messages_come_in_live_and_cannot_steer_the_terminal(observer: RunningObserver) -> None:
    hal = observer.person("hal")
    with staying(observer, "ivy", "hal") as process, connected(hal):
        said_by(process, "ready")
        read_until(process, "ivy: ready ✓")
        hal.send("ivy", "red \x1b[31m alert\x07")
        assert read_until(process, "alert").rstrip("\n").endswith("hal: red \ufffd[31m alert\ufffd")


def test_a_message_from_somebody_else_says_how_to_answer(observer: RunningObserver) -> None:
    mia = observer.person("mia")
    with staying(observer, "joe", "kim") as process, connected(mia):
        said_by(process, "ready")
        read_until(process, "joe: ready ✓")
        mia.send("joe", "psst")
        assert "mia (to answer: --to mia): psst" in read_until(process, "psst")


def test_after_a_broken_line_the_chat_comes_back_and_shows_what_it_missed(observer: RunningObserver) -> None:
    with (
        CutLine(observer.mqtt_port) as line,
        staying(observer, "dora", "lee", "--mqtt-url", f"mqtt://127.0.0.1:{line.port}") as process,
    ):
        said_by(process, "ready")
        read_until(process, "dora: ready ✓")
        line.cut()
        read_until(process, "connection lost")
        chat(observer, "lee", "dora", said="while you were away\n")
        read_until(process, "lee: while you were away")


def test_ids_outside_the_alphabet_are_refused_at_once(observer: RunningObserver) -> None:
    finished = chat(observer, "alice", "b/ob", said="hi\n")
    assert finished.returncode == 2
    assert "--to" in finished.stderr


def test_a_missing_broker_and_a_missing_api_are_told_plainly(observer: RunningObserver) -> None:
    finished = chat(observer, "ned", "oli", "--mqtt-url", "mqtt://127.0.0.1:1", said="hi\n")
    assert finished.returncode == 3
    assert "no MQTT broker at 127.0.0.1:1" in finished.stderr
    finished = chat(observer, "ned", "oli", "--api-url", "http://127.0.0.1:1", said="hi\n")
    assert finished.returncode == 0
    assert "no history: no answer from http://127.0.0.1:1" in finished.stderr


def test_a_chat_in_which_nothing_is_accepted_ends_with_a_failure(observer: RunningObserver) -> None:
    observer.pause()
    finished = chat(observer, "pia", "quin", "--wait", "1", "--api-url", "http://127.0.0.1:1", said="hi\n")
    observer.resume()
    assert finished.returncode == 3
    assert "messages not accepted within 1 s: 1" in finished.stderr


def test_seconds_keep_the_chat_open_after_the_end_of_the_input(observer: RunningObserver) -> None:
    finished = chat(observer, "rob", "sue", "--seconds", "0.2", said="hi\n")
    assert finished.returncode == 0, os.linesep.join((finished.stdout, finished.stderr))
