"""The store is away, or full: nothing acknowledged is lost, nothing is shown before it is stored."""

import subprocess
import sys
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


@pytest.mark.mongo
def test_messages_wait_while_the_store_is_away(broker: RunningBroker, mongo_url: str, tmp_path: Path) -> None:
    """MongoDB behind a proxy that goes down: publishers are still acknowledged, and all of it arrives afterwards."""
    address, _, database = mongo_url.rpartition("/")
    with CutLine(int(address.rpartition(":")[2])) as line:
        url = f"{address.rpartition(':')[0]}:{line.port}/{database}"
        options = {"OBSERVER_STORE__URL": url, "OBSERVER_STORE__TIMEOUT_S": "2"}
        with running_observer(broker, tmp_path, **options) as observer, busy(observer) as traffic:
            traffic.wait_for(10)
            line.go_down()
            observer.wait_until(lambda: not observer.is_ready(), "not ready")
            traffic.wait_for(60)
            line.come_up()
            observer.wait_until(observer.is_ready, "ready again", timeout_s=60)
            traffic.wait_for(80)


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
