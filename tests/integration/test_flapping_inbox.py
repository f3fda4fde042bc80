"""An inbox whose QoS 1 subscribers come and go: RabbitMQ 4 then refuses copies, or cuts the line that brings them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.test_faults import busy
from tests.services.observer import RunningObserver
from tests.services.people import Person, connected
from tests.services.raw_mqtt import raw_client
from tests.services.traffic import stored_texts

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]
CLIENTS = 4
MOST_MESSAGES = 3_000
REFUSALS = 20


@contextmanager
def coming_and_going(observer: RunningObserver, user: str) -> Iterator[None]:
    """Several devices of his connect, subscribe with QoS 1 and a clean session, and are gone, again and again."""
    is_over = threading.Event()

    def come_and_go() -> None:
        issued = observer.issue(user)
        while not is_over.is_set():
            with raw_client(issued, observer.mqtt_port) as client:
                client.subscribe(issued.subscribe)

    devices = [threading.Thread(target=come_and_go) for _ in range(CLIENTS)]
    for device in devices:
        device.start()
    try:
        yield
    finally:
        is_over.set()
        for device in devices:
            device.join()


def refusals(observer: RunningObserver) -> float:
    """How often the broker would not take a copy."""
    reconnects = observer.metric("observer_reconnects_total", part="publisher")
    return reconnects + observer.metric("observer_publish_nacks_total")


def write_to_himself_until_copies_are_refused(observer: RunningObserver, person: Person) -> list[str]:
    """Returns the texts; fails where the broker takes them all."""
    texts = [str(number) for number in range(MOST_MESSAGES)]
    for count, text in enumerate(texts, 1):
        person.send(person.user, text).wait_for_publish(60)
        if count % 20 == 0 and refusals(observer) >= REFUSALS:
            return texts[:count]
    raise AssertionError(f"{MOST_MESSAGES} messages, and the broker refused {refusals(observer)} copies")


def test_a_user_whose_clients_come_and_go_harms_nobody(observer: RunningObserver) -> None:
    """Nothing of the others is lost, doubled or out of order, no shard stops, and nothing of his own is lost either."""
    if observer.broker.version < (4, 0):
        pytest.skip("RabbitMQ before 4 takes copies for a subscriber that leaves")
    eve = observer.person("eve")
    with busy(observer) as traffic, connected(eve):
        traffic.wait_for(20)
        with coming_and_going(observer, "eve"):
            texts = write_to_himself_until_copies_are_refused(observer, eve)
        traffic.wait_for(traffic.slowest + 50)
        eve.wait_for_texts(*texts)

    assert sorted(stored_texts(observer, "eve", "eve")) == sorted(texts)
    assert observer.metric("observer_messages_total", outcome="dead_lettered") == 0
    assert observer.metric("observer_reconnects_total", part="consumer") == 0
    shards = range(observer.broker.shards)
    assert [observer.metric("observer_shard_active", shard=str(shard)) for shard in shards] == [1] * len(shards)
