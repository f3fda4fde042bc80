"""How the deliveries of a batch end."""

from collections.abc import Sequence

from structlog.testing import capture_logs

from observer.broker.base import Incoming, Outcome
from observer.message import Submission
from observer.pipeline.settle import Settlement, refusal_of_dead, settle


class Recorder:
    """The settling end of a queue."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], str, str | None]] = []

    async def acknowledge(self, deliveries: Sequence[Incoming]) -> None:
        self.calls.append(([one.tag for one in deliveries], "done", None))

    async def park(self, delivery: Incoming, outcome: Outcome, *, reason: str, message_id: str | None) -> None:
        self.calls.append(([delivery.tag], outcome.value, message_id))


def batch(*attempts: int) -> list[Incoming]:
    return [
        Incoming(tag, "apps.demo.outgoing.users.eve.messages.bob.outgoing", b"{}", attempt=attempt)
        for tag, attempt in enumerate(attempts)
    ]


async def test_everything_is_done_unless_something_else_is_said() -> None:
    queue = Recorder()
    await settle(3, queue, Settlement(batch(1, 1)))  # type: ignore[arg-type]
    assert queue.calls == [([0, 1], "done", None)]


async def test_a_failure_is_parked_under_its_id_to_be_tried_again_or_found_by_an_operator() -> None:
    """What needs a parked copy goes first: the rest is then one acknowledgement."""
    queue, settlement = Recorder(), Settlement(batch(1, 4, 5, 1))
    settlement.fail(2, "why", message_id="m-2", is_last=True)
    settlement.fail(1, "why", message_id="m-1", is_last=False)
    with capture_logs() as logged:
        await settle(3, queue, settlement)  # type: ignore[arg-type]

    assert queue.calls == [([1], "retry", "m-1"), ([2], "dead_letter", "m-2"), ([0, 3], "done", None)]
    assert all(ending.is_failure for ending in settlement.others)
    assert [(one["event"], one["message_id"], one["shard"]) for one in logged] == [
        ("message_retried", "m-1", 3),
        ("message_dead_lettered", "m-2", 3),
    ]


async def test_what_is_no_message_is_dead_lettered_at_once() -> None:
    settlement = Settlement(batch(1))
    settlement.bury(0, "no author")
    (ending,) = settlement.others
    assert (ending.outcome, ending.is_failure) == (Outcome.DEAD_LETTER, False)


def test_the_author_of_a_dead_message_is_told_and_nobody_where_there_is_none() -> None:
    refusal = refusal_of_dead(batch(1)[0], None)
    assert refusal is not None
    assert (refusal.app, refusal.sender, refusal.code) == ("demo", "eve", "failed")
    assert refusal_of_dead(Incoming(1, "apps.demo.outgoing", b"{}"), None) is None


def test_the_author_of_a_dead_message_that_was_decoded_is_told_which_one_it_was() -> None:
    submission = Submission("m-1", "demo", "eve", "bob", {}, 2, client_message_id="c-1")
    refusal = refusal_of_dead(batch(1)[0], submission)
    assert refusal is not None
    assert (refusal.code, refusal.recipient, refusal.client_message_id) == ("failed", "bob", "c-1")
