"""What a load client makes of what it receives."""

import json

from observer.bench.inbox import Board, Inbox
from observer.bench.tally import Step, Tally

COPY = {"client_message_id": "run-0000001", "message_id": "id", "sender": "alice", "recipient": "bob"}
TOPIC = b"apps/bench/users/x/messages/y/clientadded"


def board(first: int = 0) -> tuple[Board, Tally]:
    shared = Board()
    step = Step(run="run", first=first, rate=10.0, count=2, streams=1, start_s=0.0)
    shared.tally = tally = Tally(step, publish_qos=1)
    return shared, tally


def test_a_copy_of_somebody_elses_message_is_a_delivery_and_of_ones_own_an_own_copy() -> None:
    shared, tally = board()
    Inbox("bob", shared).on_message(TOPIC, json.dumps(COPY).encode())
    Inbox("alice", shared).on_message(TOPIC, json.dumps(COPY).encode())
    assert (tally.counts().delivered, tally.counts().own_copies) == (1, 1)


def test_a_refusal_is_counted_by_its_code() -> None:
    shared, tally = board()
    refusal = {"status": -100, "code": "rate_limited", "client_message_id": "run-0000000"}
    Inbox("alice", shared).on_message(b"apps/bench/users/alice/refused", json.dumps(refusal).encode())
    assert tally.counts().refused == {"rate_limited": 1}


def test_a_message_of_another_run_is_a_stray() -> None:
    shared, tally = board()
    Inbox("bob", shared).on_message(TOPIC, json.dumps(COPY | {"client_message_id": "other-0000001"}).encode())
    Inbox("bob", shared).on_message(TOPIC, b'{"text":"from a person"}')
    assert (tally.counts().strays, tally.counts().delivered) == (2, 0)


def test_a_late_puback_of_an_earlier_step_counts_for_nothing() -> None:
    shared, tally = board(first=100)
    inbox = Inbox("alice", shared)
    for number in (99, 100, 102):
        inbox.on_acknowledged(number)
    assert tally.counts().acknowledged == 1


def test_a_line_that_breaks_is_noted() -> None:
    shared, _ = board()
    Inbox("alice", shared).on_closed("cut")
    assert shared.broken == ["alice: cut"]
