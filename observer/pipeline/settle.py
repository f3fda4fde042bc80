"""Settle: the one place that decides what becomes of a delivery."""

from collections.abc import Sequence

import structlog

from observer import topics
from observer.broker.base import Incoming, Outcome, ShardQueue
from observer.message import Refusal

log = structlog.get_logger()


def is_last_try(incoming: Incoming, dead_letter_after: int) -> bool:
    """Whether a failure of this delivery is one too many."""
    return incoming.attempt >= dead_letter_after


def refusal_of_dead(incoming: Incoming) -> Refusal | None:
    """What the sender of a message is told that is dead-lettered after its last try; None if nobody can be told."""
    author = topics.author(incoming.routing_key)
    if author is None:
        return None
    reason = "the message could not be processed; the operator has it and can replay it"
    return Refusal(author.app, author.user, "failed", reason)


class Settlement:
    """How each delivery of a batch ends: DONE unless something else is said of it."""

    def __init__(self, batch: Sequence[Incoming]) -> None:
        self._batch = batch
        self._other: dict[int, tuple[Outcome, str]] = {}

    def end(self, index: int, outcome: Outcome, reason: str) -> None:
        """The delivery at `index` ends this way."""
        self._other[index] = (outcome, reason)

    def fail(self, index: int, reason: str, dead_letter_after: int) -> None:
        """It could not be done: try again later, or give up after so many tries."""
        outcome = Outcome.DEAD_LETTER if is_last_try(self._batch[index], dead_letter_after) else Outcome.RETRY
        self.end(index, outcome, reason)

    @property
    def others(self) -> Sequence[tuple[Incoming, Outcome, str]]:
        """Those that are not simply done."""
        return [(self._batch[index], outcome, reason) for index, (outcome, reason) in sorted(self._other.items())]

    @property
    def done(self) -> Sequence[Incoming]:
        """Those that are."""
        if not self._other:
            return self._batch
        return [incoming for index, incoming in enumerate(self._batch) if index not in self._other]


async def settle(queue: ShardQueue, settlement: Settlement) -> None:
    """Tell the broker. What needs a copy parked goes first, so that the rest is acknowledged as one.

    Raises BrokerUnavailable: then all that is not settled comes again.
    """
    for incoming, outcome, reason in settlement.others:
        event = "message_dead_lettered" if outcome is Outcome.DEAD_LETTER else "message_retried"
        log.warning(event, routing_key=incoming.routing_key[:200], attempt=incoming.attempt, reason=reason)
        await queue.settle([incoming], outcome, reason)
    await queue.settle(settlement.done, Outcome.DONE)
