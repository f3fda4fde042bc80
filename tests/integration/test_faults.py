"""What dies in between loses nothing: observer, broker, line (promises 1 to 4)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from tests.services.cut_line import CutLine
from tests.services.observer import RunningObserver, running_observer
from tests.services.people import Person, connected
from tests.services.rabbitmq import RunningBroker
from tests.services.stores import every_store
from tests.services.traffic import Traffic, assert_nothing_lost, flowing

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]
PAIRS = 6


@contextmanager
def busy(
    observer: RunningObserver, *, qos: int = 0, has_ids: bool = True, interval_s: float = 0.005
) -> Iterator[Traffic]:
    """Traffic between pairs of new people; when the block ends, everything must be accounted for.

    `has_ids`: whether the clients name their messages.
    `qos` 1 is a session that outlives its connection: what is sent meanwhile waits for it at the broker.
    """
    crowd = token_hex(4)
    pairs = [
        (_person(observer, f"from-{crowd}-{number}", qos), _person(observer, f"to-{crowd}-{number}", qos))
        for number in range(PAIRS)
    ]
    with connected(*(person for pair in pairs for person in pair)):
        with flowing(*pairs, has_ids=has_ids, interval_s=interval_s) as traffic:
            yield traffic
        assert_nothing_lost(observer, traffic)


def _person(observer: RunningObserver, user: str, qos: int) -> Person:
    return observer.person(user, qos=qos, clean=qos == 0)


@every_store
def test_an_observer_killed_under_load_loses_nothing(observer: RunningObserver) -> None:
    """kill -9, three times, at whatever await it happens to be."""
    with busy(observer) as traffic:
        for target in (20, 60, 100):
            traffic.wait_for(target)
            observer.kill()
            observer.start()
        traffic.wait_for(140)


@every_store
def test_a_killed_observer_knows_again_what_it_stored_of_clients_without_ids(observer: RunningObserver) -> None:
    """By the broker's stamp where there is one, else by topic and payload: each message is stored once."""
    with busy(observer, has_ids=False) as traffic:
        for target in (20, 60, 100):
            traffic.wait_for(target)
            observer.kill()
            observer.start()
        traffic.wait_for(140)


@every_store
def test_an_observer_that_is_told_to_stop_drains(observer: RunningObserver) -> None:
    """SIGTERM: exit status 0, and what was not done is done by the next one."""
    with busy(observer) as traffic:
        traffic.wait_for(20)
        assert observer.stop() == 0
        observer.start()
        traffic.wait_for(60)


def test_an_observer_that_is_told_to_stop_does_not_wait_for_a_silent_broker(
    broker: RunningBroker, tmp_path: Path
) -> None:
    """The network swallows every packet: nothing is in hand that could be ended."""
    with (
        CutLine(broker.amqps_port) as line,
        running_observer(broker, tmp_path, OBSERVER_BROKER__PORT=str(line.port)) as observer,
    ):
        line.go_silent()
        line.cut()
        observer.wait_until(lambda: "no AMQP connection" in observer.log(), "a connection that does not come about")
        assert observer.stop() == 0
        after = observer.log().partition("observer_stopping")[2]
        assert re.findall(r'"event": "(\w+)"', after) == ["observer_stopped"]


def test_an_observer_that_is_told_to_stop_under_an_alarm_drains(broker: RunningBroker, tmp_path: Path) -> None:
    """A broker short of memory reads nothing more from who has published, not even a goodbye."""
    with (
        running_observer(broker, tmp_path, OBSERVER_SHUTDOWN_TIMEOUT_S="5") as observer,
        busy(observer, qos=1) as traffic,
    ):
        traffic.wait_for(20)
        broker.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
        try:
            observer.wait_until(lambda: "was blocked by" in observer.log(), "the alarm")
            assert observer.stop() == 0
        finally:
            broker.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
        observer.start()
        traffic.wait_for(60)


def test_a_restarted_broker_loses_nothing(observer: RunningObserver) -> None:
    """The broker stops in order and comes back; clients and observer reconnect by themselves."""
    with busy(observer, qos=1) as traffic:
        traffic.wait_for(20)
        observer.broker.restart()
        traffic.wait_for(60)


def test_a_cut_line_is_mended(broker: RunningBroker, tmp_path: Path) -> None:
    """Every AMQP connection is cut in mid-traffic, again and again: a proxy stands between observer and broker."""
    with (
        CutLine(broker.amqps_port) as line,
        running_observer(broker, tmp_path, OBSERVER_BROKER__PORT=str(line.port)) as observer,
        busy(observer) as traffic,
    ):
        for target in (20, 40, 60, 80):
            traffic.wait_for(target)
            line.cut()
        traffic.wait_for(120)
        assert line.cuts >= 8  # some may still have been down from the last time
