"""Several observers on the same shards: they share them evenly, and take over a dead one's within seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.integration.test_faults import busy
from tests.services.cut_line import CutLine
from tests.services.observer import RunningObserver, running_observer
from tests.services.rabbitmq import RunningBroker

pytestmark = [pytest.mark.broker, pytest.mark.mongo, pytest.mark.timeout(300)]


@contextmanager
def two_observers(
    broker: RunningBroker, mongo_url: str, directory: Path
) -> Iterator[tuple[RunningObserver, RunningObserver]]:
    url = {"OBSERVER_STORE__URL": mongo_url}
    with running_observer(broker, directory, **url) as first, running_observer(broker, directory, **url) as second:
        yield first, second


def shards_of(observer: RunningObserver) -> int:
    return int(sum(observer.metric("observer_shard_active", shard=str(shard)) for shard in range(4)))


def has_shards(observer: RunningObserver, count: int) -> bool:
    return shards_of(observer) == count


def wait_for_shares(*shares: tuple[RunningObserver, int]) -> None:
    for observer, count in shares:
        observer.wait_until(partial(has_shards, observer, count), f"{count} shards")


def test_they_share_the_shards_evenly_and_one_takes_all_when_the_other_stops(
    broker: RunningBroker, mongo_url: str, tmp_path: Path
) -> None:
    """Two and two; after a SIGTERM four; and two and two again."""
    with two_observers(broker, mongo_url, tmp_path) as (first, second):
        wait_for_shares((first, 2), (second, 2))
        with busy(first) as traffic:
            traffic.wait_for(20)
            assert second.stop() == 0
            wait_for_shares((first, 4))
            traffic.wait_for(40)
            second.start()
            wait_for_shares((first, 2), (second, 2))
            traffic.wait_for(60)


def test_a_killed_one_loses_nothing(broker: RunningBroker, mongo_url: str, tmp_path: Path) -> None:
    """kill -9 of one of two, under load."""
    with two_observers(broker, mongo_url, tmp_path) as (first, second):
        wait_for_shares((first, 2), (second, 2))
        with busy(first) as traffic:
            traffic.wait_for(20)
            second.kill()
            wait_for_shares((first, 4))
            traffic.wait_for(60)


def test_a_frozen_one_is_fenced_off_when_it_wakes(broker: RunningBroker, mongo_url: str, tmp_path: Path) -> None:
    """SIGSTOP until its shards are taken over, then SIGCONT: the writer that lost its shard stores nothing twice."""
    with two_observers(broker, mongo_url, tmp_path) as (first, second):
        wait_for_shares((first, 2), (second, 2))
        with busy(first) as traffic:
            traffic.wait_for(20)
            second.pause()
            wait_for_shares((first, 4))
            traffic.wait_for(60)  # all pairs, those of the frozen shards too
            second.resume()
            wait_for_shares((first, 2), (second, 2))
            traffic.wait_for(90)


def test_one_that_cannot_reach_the_store_leaves_its_shards_to_the_other(
    broker: RunningBroker, mongo_url: str, tmp_path: Path
) -> None:
    """It lives, but what waits for it would wait as long as its line to the store is down."""
    address, _, database = mongo_url.rpartition("/")
    host, _, port = address.rpartition(":")
    with (
        CutLine(int(port)) as line,
        running_observer(broker, tmp_path, OBSERVER_STORE__URL=mongo_url) as first,
        running_observer(
            broker,
            tmp_path,
            OBSERVER_STORE__URL=f"{host}:{line.port}/{database}",
            OBSERVER_STORE__TIMEOUT_S="2",
        ) as second,
    ):
        wait_for_shares((first, 2), (second, 2))
        with busy(first) as traffic:
            traffic.wait_for(20)
            line.go_down()
            wait_for_shares((first, 4), (second, 0))
            traffic.wait_for(40)
            line.come_up()
            wait_for_shares((first, 2), (second, 2))
            traffic.wait_for(60)
