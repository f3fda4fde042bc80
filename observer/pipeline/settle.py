"""Settle: the one place that decides what becomes of a delivery."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import structlog

from observer import topics
from observer.broker.base import Incoming, Outcome, ShardQueue
from observer.message import Refusal, Submission, refusal_of

log = structlog.get_logger()


def refusal_of_dead(incoming: Incoming, submission: Submission | None) -> Refusal | None:
    """What the sender of a message is told that is dead-lettered after its last try; None if nobody can be told.

    `submission` is what the delivery was decoded to, if that worked: only then it says which message it was.
    """
    reason = "the message could not be processed; the operator has it and can replay it"
    if submission is not None:
        return refusal_of(submission, "failed", reason)
    author = topics.author(incoming.routing_key)
    return None if author is None else Refusal(author.app, author.user, "failed", reason)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a delivery ends that is not simply done."""

    incoming: Incoming
    outcome: Outcome
    reason: str
    message_id: str | None
    """The id that the message has in every try; None if it was not decoded."""
    is_failure: bool
    """Whether it failed here; if not, it was never a message."""


class Settlement:
    """How each delivery of a batch ends: done, unless something else is said of it."""

    def __init__(self, batch: Sequence[Incoming]) -> None:
        self._batch = batch
        self._others: dict[int, Ending] = {}
        self._left: frozenset[int] = frozenset()

    def leave(self, indexes: Iterable[int]) -> None:
        """These do not end yet."""
        self._left = frozenset(indexes)

    def bury(self, index: int, reason: str) -> None:
        """Dead-letter what is no message and has no sender that could be told."""
        self._others[index] = Ending(self._batch[index], Outcome.DEAD_LETTER, reason, message_id=None, is_failure=False)

    def fail(self, index: int, reason: str, *, message_id: str | None, is_last: bool) -> None:
        """It could not be done: try again later, or give up after the last try."""
        outcome = Outcome.DEAD_LETTER if is_last else Outcome.RETRY
        self._others[index] = Ending(self._batch[index], outcome, reason, message_id, is_failure=True)

    @property
    def ended(self) -> Set[int]:
        """The indexes of those that are not simply done."""
        return self._others.keys()

    @property
    def others(self) -> Sequence[Ending]:
        """Those that are not simply done."""
        return [ending for _, ending in sorted(self._others.items())]

    @property
    def done(self) -> Sequence[Incoming]:
        """Those that are."""
        open_or_ended = self._left | self.ended
        return [incoming for index, incoming in enumerate(self._batch) if index not in open_or_ended]


async def settle(shard: int, queue: ShardQueue, settlement: Settlement) -> None:
    """Tell the broker. What needs a copy parked goes first, so that the rest is acknowledged as one.

    Raises BrokerUnavailable: then all that is not settled comes again.
    """
    for one in settlement.others:
        event = "message_dead_lettered" if one.outcome is Outcome.DEAD_LETTER else "message_retried"
        log.warning(
            event,
            shard=shard,
            routing_key=shown_key(one.incoming),
            message_id=one.message_id,
            attempt=one.incoming.attempt,
            reason=one.reason,
        )
        await queue.park(one.incoming, one.outcome, reason=one.reason, message_id=one.message_id)
    await queue.acknowledge(settlement.done)


def shown_key(incoming: Incoming) -> str:
    """The routing key for a log line: it names app, sender and recipient."""
    return incoming.routing_key[:200]
