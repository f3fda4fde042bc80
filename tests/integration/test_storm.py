"""A storm: fault upon fault at random under load, then the account, in the words of a Jepsen report.

The faults follow pytest's random seed, which it prints: `--randomly-seed=N` brings the same ones again.
"""

import logging
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.test_faults import busy
from tests.services.cut_line import CutLine
from tests.services.observer import RunningObserver, running_observer
from tests.services.rabbitmq import RunningBroker
from tests.services.traffic import Traffic

FAULTS = int(os.environ.get("OBSERVER_TEST_STORM_FAULTS", "3"))
INTERVAL_S = 0.1
"""Slow enough that no session holds more copies than the broker's policy allows it (1,000) when a long fault ends."""
log = logging.getLogger(__name__)
pytestmark = [pytest.mark.broker, pytest.mark.timeout(240 + 60 * FAULTS)]


@dataclass(frozen=True, slots=True)
class Scene:
    """All that can break."""

    broker: RunningBroker
    observers: Sequence[RunningObserver]
    lines: Sequence[CutLine]
    """Between an observer and the broker, or the store."""

    def faults(self) -> Sequence[Callable[[], None]]:
        """Each breaks something and mends it again."""
        return (
            self.kill_an_observer,
            self.kill_an_observer,
            self.drain_an_observer,
            self.freeze_an_observer,
            self.cut_a_line,
            self.take_a_line_down,
            self.let_a_line_go_silent,
            self.restart_the_broker,
            self.kill_the_broker,
            self.raise_an_alarm,
        )

    def kill_an_observer(self) -> None:
        observer = random.choice(self.observers)
        observer.kill()
        self._last()
        observer.begin()

    def drain_an_observer(self) -> None:
        observer = random.choice(self.observers)
        observer.wait_until_ready()
        assert observer.stop() == 0
        self._last()
        observer.begin()

    def freeze_an_observer(self) -> None:
        observer = random.choice(self.observers)
        observer.pause()
        self._last(20)
        observer.resume()

    def cut_a_line(self) -> None:
        random.choice(self.lines).cut()

    def take_a_line_down(self) -> None:
        line = random.choice(self.lines)
        line.go_down()
        self._last()
        line.come_up()

    def let_a_line_go_silent(self) -> None:
        line = random.choice(self.lines)
        line.go_silent()
        self._last(20)
        line.come_up()

    def restart_the_broker(self) -> None:
        self.broker.restart()

    def kill_the_broker(self) -> None:
        self.broker.kill()
        self._last()
        self.broker.start()

    def raise_an_alarm(self) -> None:
        """Of memory: the broker confirms nothing to publishers, and reads nothing more from them."""
        self.broker.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
        self._last()
        self.broker.rabbitmqctl("set_vm_memory_high_watermark", "0.4")

    def _last(self, most_s: float = 5.0) -> None:
        time.sleep(random.uniform(0, most_s))  # how long the fault lasts


def weather(scene: Scene, traffic: Traffic) -> None:
    """One fault after the other; after some of them everyone gets through first, after others the next one comes."""
    for number in range(1, FAULTS + 1):
        fault = random.choice(scene.faults())
        log.info("%d: %s", number, fault.__name__)
        fault()
        if random.random() < 0.6:
            traffic.wait_for(traffic.slowest + random.randint(1, 20))
    for observer in scene.observers:
        observer.wait_until_ready()
    traffic.wait_for(traffic.slowest + 1)


def test_an_observer_on_sqlite_loses_nothing_in_a_storm(broker: RunningBroker, tmp_path: Path) -> None:
    """One process; everything around it breaks, and it itself."""
    with (
        CutLine(broker.amqps_port) as line,
        running_observer(broker, tmp_path, OBSERVER_BROKER__PORT=str(line.port)) as observer,
        busy(observer, qos=1, interval_s=INTERVAL_S) as traffic,
    ):
        weather(Scene(broker, [observer], [line]), traffic)


@pytest.mark.mongo
def test_two_observers_on_mongodb_lose_nothing_in_a_storm(
    broker: RunningBroker, mongo_url: str, tmp_path: Path
) -> None:
    """Two processes that share the shards; their lines to the broker and to the store break one by one."""
    address, _, database = mongo_url.rpartition("/")
    host, _, port = address.rpartition(":")
    with ExitStack() as stack:
        lines: list[CutLine] = []
        observers: list[RunningObserver] = []
        for _ in range(2):
            to_broker = stack.enter_context(CutLine(broker.amqps_port))
            to_store = stack.enter_context(CutLine(int(port)))
            options = {
                "OBSERVER_BROKER__PORT": str(to_broker.port),
                "OBSERVER_STORE__URL": f"{host}:{to_store.port}/{database}",
                "OBSERVER_STORE__TIMEOUT_S": "2",
            }
            lines += [to_broker, to_store]
            observers.append(stack.enter_context(running_observer(broker, tmp_path, **options)))
        traffic = stack.enter_context(busy(observers[0], qos=1, interval_s=INTERVAL_S))
        weather(Scene(broker, observers, lines), traffic)
