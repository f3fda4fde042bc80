"""`observer bench` against a running observer, and against the broker alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.services.observer import RunningObserver, running_observer
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker
SMALL = ("--pairs", "3", "--rate", "60", "--seconds", "1", "--warmup", "0", "--drain", "20")


def bench(observer: RunningObserver, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "observer", "bench", *SMALL, *arguments],
        env=dict(observer.environment),
        capture_output=True,
        text=True,
        timeout=100,
    )


def result(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout)["result"]
    return told


@pytest.mark.parametrize("qos", ["0", "1"])
def test_every_message_is_followed_from_sender_to_store_and_inboxes(
    broker: RunningBroker, tmp_path: Path, qos: str
) -> None:
    with running_observer(broker, tmp_path, OBSERVER_API__METRICS_OPEN="true") as observer:
        told = result(bench(observer, "--json", "--inbox-qos", qos))
    counts = told["counts"]
    assert {counts[name] for name in ("planned", "sent", "acknowledged", "delivered", "own_copies")} == {60}
    assert told["usage"]["stored"] == 60
    assert (counts["lost"], counts["duplicates"], counts["out_of_order"], counts["refused"]) == (0, 0, 0, {})
    assert told["delivery"]["count"] == 60
    assert told["usage"]["observer_cpu_s"] is not None


def test_the_broker_alone_is_measured_with_the_same_clients(observer: RunningObserver) -> None:
    told = result(bench(observer, "--json", "--bare"))
    assert told["counts"]["delivered"] == told["counts"]["own_copies"] == 60
    assert told["usage"]["stored"] is None


def test_messages_that_nobody_delivers_are_lost_and_the_exit_status_says_so(observer: RunningObserver) -> None:
    observer.pause()
    finished = bench(observer, "--drain", "1", "--api-url", "http://127.0.0.1:1")
    observer.resume()
    assert finished.returncode == 1
    assert "lost       60" in finished.stdout
    assert "stored     unknown" in finished.stdout


def test_a_broker_on_another_machine_gets_no_load_unasked(observer: RunningObserver) -> None:
    finished = bench(observer, "--mqtt-url", "mqtt://192.0.2.1:1883")
    assert finished.returncode == 2
    assert "--allow-remote" in finished.stderr


def test_a_broker_that_is_not_there_is_named(observer: RunningObserver) -> None:
    finished = bench(observer, "--mqtt-url", "mqtt://127.0.0.1:1")
    assert finished.returncode == 3
    assert "no MQTT broker at 127.0.0.1:1" in finished.stderr
