"""In whose timelines a direct message is, and which copies go out."""

import json
from dataclasses import replace

import pytest

from observer.handlers import direct
from observer.message import Message

MESSAGE = Message(
    message_id="m",
    app="shop",
    sender="alice",
    recipient="bob",
    body=b'{"text":"hi"}',
    timestamp_ms=7,
    owners=("alice", "bob"),
    shard=0,
    offset=0,
)


@pytest.mark.parametrize(
    ("recipient", "reaches", "owners"),
    [("bob", True, ("alice", "bob")), ("bob", False, ("alice",)), ("alice", True, ("alice",))],
    ids=["delivered", "dropped", "to oneself"],
)
def test_a_message_is_in_the_timelines_of_those_who_may_see_it(
    recipient: str, reaches: bool, owners: tuple[str, ...]
) -> None:
    assert direct.owners_of("alice", recipient, reaches_recipient=reaches) == owners


def test_the_sender_gets_100_and_then_the_recipient_150_in_the_apps_own_topics() -> None:
    """The copies of docs/facts.md, "Chat21 copies"; the app is that of the message."""
    sent, delivered = direct.plan_copies(MESSAGE)

    assert sent.routing_key == "apps.shop.users.alice.messages.bob.clientadded"
    assert delivered.routing_key == "apps.shop.users.bob.messages.alice.clientadded"
    assert [json.loads(one.body)["status"] for one in (sent, delivered)] == [100, 150]


def test_a_dropped_message_goes_to_its_sender_alone_and_looks_the_same() -> None:
    dropped = replace(MESSAGE, owners=("alice",))
    assert direct.plan_copies(dropped) == [direct.plan_copies(MESSAGE)[0]]


def test_a_message_to_oneself_is_one_copy() -> None:
    own = replace(MESSAGE, recipient="alice", owners=("alice",))
    (copy,) = direct.plan_copies(own)
    assert copy.routing_key == "apps.shop.users.alice.messages.alice.clientadded"


def test_an_echo_is_the_senders_copy() -> None:
    assert direct.plan_echo(MESSAGE) == [direct.plan_copies(MESSAGE)[0]]
