"""How the deliveries of a batch end."""

from collections.abc import Sequence

from structlog.testing import capture_logs

from observer.broker.base import Incoming, Outcome
from observer.pipeline.settle import Settlement, refusal_of_dead, settle


class Recorder:
    """The settling end of a queue."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], Outcome]] = []

    async def settle(self, deliveries: Sequence[Incoming], outcome: Outcome, reason: str = "") -> None:
        self.calls.append(([one.tag for one in deliveries], outcome))


def batch(*attempts: int) -> list[Incoming]:
    return [
        Incoming(tag, "apps.demo.outgoing.users.eve.messages.bob.outgoing", b"{}", attempt=attempt)
        for tag, attempt in enumerate(attempts)
    ]


async def test_everything_is_done_unless_something_else_is_said() -> None:
    queue = Recorder()
    await settle(queue, Settlement(batch(1, 1)))  # type: ignore[arg-type]
    assert queue.calls == [([0, 1], Outcome.DONE)]


async def test_a_failure_is_tried_again_until_its_last_try_and_then_dead_lettered() -> None:
    """What needs a parked copy goes first: the rest is then one acknowledgement."""
    queue, settlement = Recorder(), Settlement(batch(1, 4, 5, 1))
    for index in (2, 1):
        settlement.fail(index, "why", dead_letter_after=5)
    with capture_logs() as logged:
        await settle(queue, settlement)  # type: ignore[arg-type]

    assert queue.calls == [([1], Outcome.RETRY), ([2], Outcome.DEAD_LETTER), ([0, 3], Outcome.DONE)]
    assert all(ending.is_failure for ending in settlement.others)
    assert [one["event"] for one in logged] == ["message_retried", "message_dead_lettered"]


async def test_what_is_no_message_is_dead_lettered_at_once() -> None:
    settlement = Settlement(batch(1))
    settlement.bury(0, "no author")
    (ending,) = settlement.others
    assert (ending.outcome, ending.is_failure) == (Outcome.DEAD_LETTER, False)


def test_the_author_of_a_dead_message_is_told_and_nobody_where_there_is_none() -> None:
    refusal = refusal_of_dead(batch(1)[0])
    assert refusal is not None
    assert (refusal.app, refusal.sender, refusal.code) == ("demo", "eve", "failed")
    assert refusal_of_dead(Incoming(1, "apps.demo.outgoing", b"{}")) is None
