"""One direct message, from a real MQTT client through broker, observer and store to another."""

import json

import pytest

from tests.services.observer import RunningObserver
from tests.services.people import connected
from tests.services.stores import every_store

pytestmark = [pytest.mark.broker, every_store]


def test_a_message_reaches_both_inboxes_once_with_the_stamped_fields(observer: RunningObserver) -> None:
    """Sender 100, recipient 150, own fields kept, the stamped ones overwritten (docs/facts.md, "Chat21 messages")."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob):
        alice.send("bob", "ciao", sender="eve", status=1, color="red", attributes=None)
        alice.wait_for_texts("ciao")
        bob.wait_for_texts("ciao")

    (sent,), (received,) = alice.inbox, bob.inbox
    assert (sent["status"], received["status"]) == (100, 150)
    assert {**sent, "status": 0} == {**received, "status": 0}
    assert (received["sender"], received["recipient"], received["app_id"]) == ("alice", "bob", "demo")
    assert (received["color"], received["attributes"]) == ("red", None)
    assert isinstance(received["timestamp"], int)


def test_the_same_client_message_id_is_one_message(observer: RunningObserver) -> None:
    """Promise 4: retry is harmless. The second copy is answered to the sender and not shown to the recipient again."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob):
        for _ in range(3):
            alice.send("bob", "once", client_message_id="m-1")
        alice.send("bob", "end")
        alice.wait_until(lambda: alice.texts().count("once") == 3, "an answer to each try")
        bob.wait_for_texts("end")

    assert bob.texts() == ["once", "end"]
    assert len({one["message_id"] for one in alice.inbox if one["text"] == "once"}) == 1
    with observer.api("bob") as api:
        stored = api.get("/v1/conversations/alice/messages").json()
    assert [one["text"] for one in stored["messages"]] == ["once", "end"]


def test_one_client_message_id_for_many_recipients_is_one_message_and_the_others_are_refused(
    observer: RunningObserver,
) -> None:
    """Sent at once, through all shards: what is shown is stored, the rest is refused and told (promise 2)."""
    alice = observer.person("alice")
    recipients = [observer.person(f"friend-{number}") for number in range(12)]
    with connected(alice, *recipients):
        for recipient in recipients:
            alice.send(recipient.user, "same", client_message_id="m-1")
        alice.wait_until(lambda: len(alice.refusals) == len(recipients) - 1, "a refusal for all but one")
        (shown,) = alice.inbox
        receiver = next(recipient for recipient in recipients if recipient.user == shown["recipient"])
        receiver.wait_for_texts("same")

    assert [recipient.texts() for recipient in recipients if recipient is not receiver] == [[]] * 11
    assert {refusal["code"] for refusal in alice.refusals} == {"client_message_id_taken"}
    assert observer.metric("observer_messages_total", outcome="stored") == 1


def test_messages_of_one_sender_arrive_in_the_order_sent(observer: RunningObserver) -> None:
    """Promise 3, in the quiet case."""
    alice, bob = observer.person("alice"), observer.person("bob")
    texts = [str(number) for number in range(500)]
    with connected(alice, bob):
        for text in texts:
            alice.send("bob", text)
        bob.wait_for_texts(*texts)
        alice.wait_for_texts(*texts)

    assert texts == bob.texts()
    assert texts == alice.texts()


def test_a_malformed_message_is_answered_with_a_code_and_a_reason(observer: RunningObserver) -> None:
    """Promise 7."""
    alice = observer.person("alice")
    with connected(alice):
        alice.publish("apps/demo/outgoing/users/alice/messages/bob/outgoing", b"not json")
        alice.wait_for_refusal("invalid_json")
        alice.publish("apps/demo/outgoing/users/alice/messages/bob/outgoing/more", json.dumps({"text": "x"}).encode())
        refusal = alice.wait_for_refusal("invalid_topic")

    assert "apps/<app>/outgoing/users/<you>/messages/<recipient>/outgoing" in refusal["reason"]
