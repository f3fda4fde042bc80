"""Publishes that kill AMQP connections, decoders or processes, amid the traffic of others.

Why they do: docs/facts.md, "Topics over 255 bytes" and "Bytes that are no text".
"""

from pathlib import Path

import pytest

from observer.broker import names
from tests.integration.test_faults import busy
from tests.services.observer import RunningObserver, running_observer
from tests.services.people import connected
from tests.services.queues import what_waits
from tests.services.rabbitmq import RunningBroker
from tests.services.raw_mqtt import raw_client
from tests.services.third_party import third_party_policy
from tests.services.traffic import without_repeats

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]


def _dead(observer: RunningObserver) -> int:
    return what_waits(observer.broker).get(names.DEAD_QUEUE, 0)


def _topic(middle: bytes) -> bytes:
    return b"apps/demo/outgoing/users/eve/messages/" + middle + b"/outgoing"


@pytest.mark.parametrize("length", [256, 1_000, 60_000])
def test_a_topic_too_long_for_amqp_is_dead_lettered_and_its_neighbours_arrive(
    observer: RunningObserver, length: int
) -> None:
    """The broker closes the connection on which it would deliver it; the delivery limit takes it out."""
    with busy(observer) as traffic, raw_client(observer.issue("eve"), observer.mqtt_port) as eve:
        traffic.wait_for(10)
        eve.publish(_topic(b"x" * (length - len(_topic(b"")))))
        sender = traffic.pairs[0][0]
        sender.wait_until(lambda: _dead(observer) == 1, "the dead letter", timeout_s=60)
        traffic.wait_for(100)


def test_many_topics_too_long_for_amqp_do_not_make_it_wait_longer_each_time(observer: RunningObserver) -> None:
    """The broker closes a line before it is open when such a message comes first; several are a shard's only ones."""
    with busy(observer) as traffic, raw_client(observer.issue("eve"), observer.mqtt_port) as eve:
        traffic.wait_for(10)
        for number in range(12):
            eve.publish(_topic(b"%d" % number * 300))
        sender = traffic.pairs[0][0]
        sender.wait_until(lambda: _dead(observer) == 12, "the dead letters", timeout_s=60)
        traffic.wait_for(100)


DEADLY_POLICY = """
import os
from policies.base import ALLOW, Policy

class ThirdParty(Policy):
    name = "deadly"

    def on_deliver(self, submission, recipient, facts):
        if submission.body.get("text", "").startswith("die"):
            os.kill(os.getpid(), 9)
        return ALLOW
"""


def test_messages_that_kill_the_process_are_dead_lettered_and_their_neighbours_arrive(
    broker: RunningBroker, tmp_path: Path
) -> None:
    """The observer is started again whenever it has died, as an orchestrator does it."""
    policy = third_party_policy(tmp_path, "deadly", DEADLY_POLICY)
    deadly = {"die 1", "die 2"}
    texts = [f"message {number}" for number in range(20)]
    said = [*texts[:5], "die 1", *texts[5:10], "die 2", *texts[10:]]
    with running_observer(broker, tmp_path, **policy) as observer:
        eve, bob = observer.person("eve"), observer.person("bob")
        with connected(eve, bob):
            observer.stop()  # so that all of them wait together
            for text in said:
                eve.send("bob", text).wait_for_publish(30)
            while _dead(observer) < len(deadly):
                observer.begin()
                observer.wait_until(
                    lambda: observer.has_ended() or _dead(observer) == len(deadly), "a death, or the dead letters"
                )
            if observer.has_ended():
                observer.begin()
            bob.wait_for_texts(*texts)
        assert without_repeats(bob, "eve") == texts
        assert _dead(observer) == len(deadly)


def test_invalid_utf8_in_a_topic_is_refused_and_told(observer: RunningObserver) -> None:
    """The library's decoder would drop the connection; ours refuses the one message."""
    eve = observer.person("eve")
    with connected(eve), busy(observer) as traffic, raw_client(observer.issue("eve"), observer.mqtt_port) as raw:
        traffic.wait_for(10)
        raw.publish(_topic(b"\xff\xfe"))
        eve.wait_for_refusal("invalid_utf8")
        traffic.wait_for(30)
    assert observer.metric("observer_reconnects_total", part="consumer") == 0


def test_invalid_utf8_in_a_property_name_harms_nobody(observer: RunningObserver) -> None:
    """MQTT 5 only: the name of a user property becomes the name of an AMQP header."""
    if observer.broker.version < (4, 0):
        pytest.skip("RabbitMQ before 4 has no MQTT 5")
    eve, bob = (observer.person(user) for user in ("eve", "bob"))
    with (
        connected(eve, bob),
        busy(observer) as traffic,
        raw_client(observer.issue("eve"), observer.mqtt_port, version=5) as raw,
    ):
        traffic.wait_for(10)
        raw.publish(_topic(b"bob"), b'{"text":"hello"}', property_name=b"\xc3\x28")
        bob.wait_for_texts("hello")
        traffic.wait_for(30)
    assert observer.metric("observer_reconnects_total", part="consumer") == 0
