"""MQTT 5 message expiry on what a client publishes: how long a message may wait for the observer, and what then."""

import subprocess
import sys

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from observer import topics
from observer.broker import names
from tests.services.observer import RunningObserver
from tests.services.people import Person, connected
from tests.services.queues import what_waits

pytestmark = pytest.mark.broker


def send(sender: Person, recipient: Person, text: str, *, expiry_s: int) -> None:
    """Publish a message that may wait so long; return when the broker has acknowledged it."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = expiry_s
    topic = topics.mqtt(topics.outgoing(sender.app, sender.user, recipient.user))
    sender.client.publish(topic, f'{{"text":"{text}"}}', qos=1, properties=properties).wait_for_publish(30)


def dead_letters(observer: RunningObserver, *arguments: str) -> str:
    """What `observer dead-letters` prints."""
    command = [sys.executable, "-m", "observer", "dead-letters", *arguments]
    return subprocess.run(
        command, env=dict(observer.environment), capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_a_message_that_expires_before_the_observer_takes_it_is_a_dead_letter_that_can_be_replayed(
    observer: RunningObserver,
) -> None:
    """Its sender has an acknowledgement and is told nothing; one that does not expire meanwhile is as any other."""
    if observer.broker.version < (4, 0):
        pytest.skip("RabbitMQ before 4 has no MQTT 5")
    alice, bob = observer.person("alice", protocol=5), observer.person("bob")
    with connected(alice, bob):
        observer.stop()
        send(alice, bob, "short", expiry_s=1)
        send(alice, bob, "long", expiry_s=3600)
        observer.wait_until(lambda: what_waits(observer.broker).get(names.DEAD_QUEUE) == 1, "the dead letter")
        observer.start()
        bob.wait_for_texts("long")

        [row] = dead_letters(observer, "list").splitlines()[1:]
        letter_id = row.split()[0]
        shown = dead_letters(observer, "show", letter_id, "--body")
        assert '{"text":"short"}' in shown
        assert "expired" in shown
        assert dead_letters(observer, "replay", letter_id) == f"{letter_id} replayed\n"
        bob.wait_for_texts("short")

    assert bob.texts() == ["long", "short"]
    assert alice.refusals == []
    observer.wait_until(lambda: what_waits(observer.broker) == {}, "nothing left")
