"""The store is away, or full: nothing acknowledged is lost, nothing is shown before it is stored."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.test_faults import busy
from tests.services.cut_line import CutLine
from tests.services.observer import RunningObserver, running_observer
from tests.services.people import connected
from tests.services.ports import free_port
from tests.services.rabbitmq import RunningBroker
from tests.services.small_disk import small_disk

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]
INTERVAL_S = 0.1
"""Slow enough that a minute's copies fit into a session at the broker, which holds 1,000."""


def waited_s(observer: RunningObserver) -> float:
    """How long batches have waited for a service so far, by the times in the observer's own log."""
    events = (json.loads(line) for line in observer.log().splitlines() if line.startswith("{"))
    times = [datetime.fromisoformat(event["timestamp"]) for event in events if event["event"] == "batch_waits"]
    return (times[-1] - times[0]).total_seconds() if times else 0.0


@pytest.mark.mongo
@pytest.mark.timeout(400)
def test_messages_wait_while_the_store_is_away(broker: RunningBroker, mongo_url: str, tmp_path: Path) -> None:
    """MongoDB behind a proxy that is down for a minute: senders are acknowledged, all of it arrives afterwards."""
    address, _, database = mongo_url.rpartition("/")
    with CutLine(int(address.rpartition(":")[2])) as line:
        url = f"{address.rpartition(':')[0]}:{line.port}/{database}"
        options = {"OBSERVER_STORE__URL": url, "OBSERVER_STORE__TIMEOUT_S": "2"}
        with (
            running_observer(broker, tmp_path, **options) as observer,
            busy(observer, qos=1, interval_s=INTERVAL_S) as traffic,
        ):
            traffic.wait_for(10)
            line.go_down()
            observer.wait_until(lambda: not observer.is_ready(), "not ready")
            before = traffic.slowest
            observer.wait_until(lambda: waited_s(observer) >= 60, "a minute without a store", timeout_s=120)
            traffic.wait_for(before + 100)  # each writes on when his last one is acknowledged
            line.come_up()
            observer.wait_until(observer.is_ready, "ready again", timeout_s=60)
            traffic.wait_for(traffic.slowest + 20)


def fill(disk: Path) -> Path:
    """Take all the space that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


def test_a_full_disk_stops_delivery_until_there_is_space(broker: RunningBroker, tmp_path: Path) -> None:
    """What cannot be stored is not shown; the operator sees why; it goes on by itself."""
    with small_disk(tmp_path / "disk", "8m") as disk, running_observer(broker, disk) as observer:
        alice, bob = (observer.person(user) for user in ("alice", "bob"))
        with connected(alice, bob):
            filler = fill(disk)
            for number in range(50):
                alice.send("bob", f"{number} " + "x" * 2_000)
            observer.wait_until(lambda: not observer.is_ready(), "not ready")
            shown_before = len(bob.inbox)
            filler.unlink()
            observer.wait_until(observer.is_ready, "ready again", timeout_s=60)
            bob.wait_until(lambda: len(bob.inbox) == 50, "all of them", timeout_s=60)
            assert shown_before < 50
            assert [text.split()[0] for text in bob.texts()] == [str(number) for number in range(50)]


def test_a_second_process_on_the_same_file_is_refused(observer: RunningObserver) -> None:
    """A sentence that names the file, the process that holds it, and what to do; exit status 2."""
    second = subprocess.run(
        [sys.executable, "-m", "observer", "run"],
        env={**observer.environment, "OBSERVER_API__PORT": str(free_port())},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert observer.process is not None
    assert str(observer.process.pid) in second.stderr
    assert "observer.db" in second.stderr
