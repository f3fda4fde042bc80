"""Settle: the one place that decides what becomes of a delivery."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from observer import topics
from observer.broker.base import Incoming, Outcome, ShardQueue
from observer.message import Refusal

log = structlog.get_logger()


def is_last_try(incoming: Incoming, dead_letter_after: int) -> bool:
    """Whether a failure of this delivery is one too many; one whose topic is no text cannot be published again."""
    return incoming.attempt >= dead_letter_after or not incoming.is_valid_text


def refusal_of_dead(incoming: Incoming) -> Refusal | None:
    """What the sender of a message is told that is dead-lettered after its last try; None if nobody can be told."""
    author = topics.author(incoming.routing_key)
    if author is None:
        return None
    reason = "the message could not be processed; the operator has it and can replay it"
    return Refusal(author.app, author.user, "failed", reason)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a delivery ends that is not simply done."""

    incoming: Incoming
    outcome: Outcome
    reason: str
    is_failure: bool
    """Whether it failed here; if not, it was never a message."""


class Settlement:
    """How each delivery of a batch ends: DONE unless something else is said of it."""

    def __init__(self, batch: Sequence[Incoming]) -> None:
        self._batch = batch
        self._others: dict[int, Ending] = {}

    def bury(self, index: int, reason: str) -> None:
        """Dead-letter what is no message and has no sender that could be told."""
        self._others[index] = Ending(self._batch[index], Outcome.DEAD_LETTER, reason, is_failure=False)

    def fail(self, index: int, reason: str, dead_letter_after: int) -> None:
        """It could not be done: try again later, or give up after so many tries."""
        incoming = self._batch[index]
        outcome = Outcome.DEAD_LETTER if is_last_try(incoming, dead_letter_after) else Outcome.RETRY
        self._others[index] = Ending(incoming, outcome, reason, is_failure=True)

    @property
    def others(self) -> Sequence[Ending]:
        """Those that are not simply done."""
        return [ending for _, ending in sorted(self._others.items())]

    @property
    def done(self) -> Sequence[Incoming]:
        """Those that are."""
        return [incoming for index, incoming in enumerate(self._batch) if index not in self._others]


async def settle(queue: ShardQueue, settlement: Settlement) -> None:
    """Tell the broker. What needs a copy parked goes first, so that the rest is acknowledged as one.

    Raises BrokerUnavailable: then all that is not settled comes again.
    """
    for one in settlement.others:
        event = "message_dead_lettered" if one.outcome is Outcome.DEAD_LETTER else "message_retried"
        log.warning(event, routing_key=one.incoming.routing_key[:200], attempt=one.incoming.attempt, reason=one.reason)
        await queue.settle([one.incoming], one.outcome, one.reason)
    await queue.settle(settlement.done, Outcome.DONE)
