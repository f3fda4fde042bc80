"""Promise 7 on a real broker: every bad input gets a clear answer, and harms nobody else."""

import json

import pytest

from tests.services.observer import RunningObserver
from tests.services.people import connected
from tests.services.raw_mqtt import raw_client
from tests.services.stores import every_store

pytestmark = [pytest.mark.broker, every_store]
TO_BOB = "apps/demo/outgoing/users/alice/messages/bob/outgoing"


def to(recipient: str) -> str:
    return f"apps/demo/outgoing/users/alice/messages/{recipient}/outgoing"


BODIES = {
    "not JSON": (b"hello", "invalid_json"),
    "empty": (b"", "invalid_json"),
    "a number": (b"42", "not_an_object"),
    "a string": (b'"hi"', "not_an_object"),
    "a list": (b"[]", "not_an_object"),
    "invalid UTF-8": (b'{"text":"\xff"}', "invalid_json"),
    "not a number": (b'{"n":NaN}', "invalid_json"),
    "deep nesting": (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "invalid_json"),
    "nesting over the limit": (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "too_deep"),
    "over the size limit": (json.dumps({"text": "x" * 200_000}).encode(), "too_large"),
    "a text that is a number": (b'{"text":5}', "invalid_field"),
    "attributes that are a list": (b'{"attributes":[]}', "invalid_field"),
    "an id that is a number": (b'{"client_message_id":5}', "invalid_client_message_id"),
}
TOPICS = {
    "too few levels": ("apps/demo/outgoing/users/alice/messages/bob", "invalid_topic"),
    "too many levels": (TO_BOB + "/more", "invalid_topic"),
    "another word": ("apps/demo/outgoing/users/alice/letters/bob/outgoing", "invalid_topic"),
    "a dot in the id": (to("b.ob"), "invalid_topic"),
    "an empty id": (to(""), "invalid_id"),
    "a space": (to("b ob"), "invalid_id"),
    "an emoji": (to("b🙂b"), "invalid_id"),
    "a percent sign": (to("b%2Fb"), "invalid_id"),
    "a dollar": (to("b$b"), "invalid_id"),
    "65 characters": (to("b" * 65), "invalid_id"),
}

WILDCARDS = ("+", "*", "#")
"""RabbitMQ takes + and # in the topic of a message, though MQTT forbids it, and hands + on as *."""
MINE = "apps/demo/outgoing/users/alice/"
WILDCARD_PLACES = {
    to("{}"): "invalid_id",
    to("b{}b"): "invalid_id",
    MINE + "{}/bob/outgoing": "invalid_topic",
    MINE + "{}": "invalid_topic",
    TO_BOB + "/{}": "invalid_topic",
}
NOT_MINE = ("apps/demo/outgoing/users/{}/messages/bob/outgoing", "apps/{}/outgoing/users/alice/messages/bob/outgoing")


def test_each_bad_payload_is_answered_with_its_code_and_good_ones_pass(observer: RunningObserver) -> None:
    """The sender is told; the recipient gets the good message between any two bad ones."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob):
        for name, (payload, code) in BODIES.items():
            alice.refusals.clear()
            alice.publish(TO_BOB, payload)
            refusal = alice.wait_for_refusal(code)
            assert refusal["status"] == -100, name
            assert refusal["reason"], name
            alice.send("bob", name)
        bob.wait_for_texts(*BODIES)
    assert bob.texts() == list(BODIES)
    assert observer.metric("observer_messages_total", outcome="dead_lettered") == 0


def test_each_bad_topic_is_answered_with_its_code(observer: RunningObserver) -> None:
    """Ids have one alphabet; what a topic lacks or has too much is said."""
    alice = observer.person("alice")
    with connected(alice):
        for name, (topic, code) in TOPICS.items():
            alice.refusals.clear()
            alice.publish(topic, {"text": name})
            assert alice.wait_for_refusal(code)["reason"], name
    assert observer.metric("observer_messages_total", outcome="stored") == 0


@pytest.mark.parametrize("wildcard", WILDCARDS)
def test_a_wildcard_in_a_topic_is_told_to_its_sender_and_reaches_nobody(
    observer: RunningObserver, wildcard: str
) -> None:
    """It stands for no recipient and no word; libraries refuse to send + and #, so raw bytes do."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob), raw_client(observer.issue("alice"), observer.mqtt_port) as raw:
        for place, code in WILDCARD_PLACES.items():
            alice.refusals.clear()
            raw.publish(place.format(wildcard).encode(), b'{"text":"to everybody"}')
            alice.wait_for_refusal(code)
            assert [one["code"] for one in alice.refusals] == [code], place
        alice.send("bob", "to bob")
        bob.wait_for_texts("to bob")
    assert bob.texts() == ["to bob"]
    assert observer.metric("observer_messages_total", outcome="stored") == 1


@pytest.mark.parametrize("place", NOT_MINE)
@pytest.mark.parametrize("wildcard", WILDCARDS)
def test_a_wildcard_for_the_app_or_the_sender_is_not_let_in(
    observer: RunningObserver, place: str, wildcard: str
) -> None:
    """The broker closes the connection, as for any topic of somebody else."""
    with (
        raw_client(observer.issue("alice"), observer.mqtt_port) as raw,
        pytest.raises((AssertionError, ConnectionError), match=r"closed the connection|reset"),
    ):
        raw.publish(place.format(wildcard).encode(), b'{"text":"to everybody"}')
    assert observer.metric("observer_messages_total", outcome="refused") == 0


def test_a_payload_of_ten_megabytes_never_reaches_a_message(observer: RunningObserver) -> None:
    """RabbitMQ 4 refuses the packet; before it, the observer refuses the message and says so."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob):
        alice.publish(TO_BOB, json.dumps({"text": "x" * 10_000_000}).encode())
        if observer.broker.version < (4, 0):
            alice.wait_for_refusal("too_large")
        else:
            alice.wait_until(lambda: not alice.client.is_connected(), "the broker to close the connection")
        bob.send("alice", "still here")
        bob.wait_for_texts("still here")
    assert alice.texts(status=150) in ([], ["still here"])  # she may be reconnecting


def test_extra_fields_retained_and_qos_0_messages_pass(observer: RunningObserver) -> None:
    """Unknown fields are kept as they are; retained is not kept; QoS 0 is delivered as any other."""
    alice, bob = observer.person("alice"), observer.person("bob")
    extra = {"text": "extra", "x": {"deep": [1, 2.5, None, "ü"]}, "": "empty name"}
    with connected(alice, bob):
        alice.publish(TO_BOB, extra, retain=True)
        alice.publish(TO_BOB, {"text": "unsafe"}, qos=0)
        bob.wait_for_texts("extra", "unsafe")
    assert extra.items() <= bob.inbox[0].items()


def test_a_will_on_an_outgoing_topic_is_a_message_of_its_sender(observer: RunningObserver) -> None:
    """The broker sends it when the connection breaks; it is judged and delivered as any message of his."""
    alice, bob = observer.person("alice"), observer.person("bob")
    alice.client.will_set(TO_BOB, json.dumps({"text": "farewell"}), qos=1)
    with connected(bob):
        alice.connect()
        connection = alice.client.socket()
        assert connection is not None
        alice.client.loop_stop()
        connection.close()  # without a DISCONNECT
        bob.wait_for_texts("farewell")
    assert bob.inbox[0]["sender"] == "alice"
