"""A batch: deliveries of one shard that go their way together; and one try at it."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from observer.broker.base import Incoming, ShardQueue
from observer.message import Submission, with_followers
from observer.pipeline.decode import Refused, decode
from observer.pipeline.look_up import Asked
from observer.pipeline.numbering import Numbering
from observer.pipeline.plan import Plan
from observer.pipeline.settle import Settlement, refusal_of_dead, shown_key

log = structlog.get_logger()

REFUSALS_IN_PLACE = 6
"""Tries at a message whose copy the broker refuses before it goes back to the broker, and those behind it pass it."""


@dataclass(slots=True)
class Batch:
    """Deliveries of one shard."""

    shard: int
    queue: ShardQueue
    deliveries: Sequence[Incoming]
    limit: int = 1
    """How many deliveries it may grow to before it sets out."""
    is_repeat: bool = False
    """An earlier try at them may have been half done."""
    refusals: int = 0
    """How often the broker has refused copies of all of these."""
    left: "Batch | None" = None
    """What a try has left unsettled: those of which the broker refused a copy, to be tried again without the others."""
    _decoded: Sequence[Submission | Refused] | None = None

    def grow(self) -> None:
        """Take what has arrived meanwhile."""
        self.deliveries = [*self.deliveries, *self.queue.take(self.limit - len(self.deliveries))]

    def decoded(self, max_bytes: int) -> Sequence[Submission | Refused]:
        """What they mean. Decoded once: an id that was given by chance must stay the same in every try."""
        if self._decoded is None:
            self._decoded = [decode(one, max_bytes=max_bytes) for one in self.deliveries]
        return self._decoded

    def halves(self) -> tuple["Batch", "Batch"]:
        """Both to be tried again, apart."""
        middle, size = len(self.deliveries) // 2, len(self.deliveries)
        return self._part(range(middle)), self._part(range(middle, size))

    def unsettled(self) -> "Batch":
        """Without those that a try has settled before it failed: they may not be judged twice."""
        indexes = [index for index, one in enumerate(self.deliveries) if self.queue.holds(one)]
        return self if len(indexes) == len(self.deliveries) else self._part(indexes)

    def leave(self, indexes: Sequence[int]) -> None:
        """These are not settled yet: the broker refused a copy of each."""
        self.left = self._part(indexes)
        self.left.refusals += 1

    def _part(self, indexes: Sequence[int]) -> "Batch":
        deliveries = [self.deliveries[index] for index in indexes]
        decoded = None if self._decoded is None else [self._decoded[index] for index in indexes]
        return Batch(self.shard, self.queue, deliveries, is_repeat=True, refusals=self.refusals, _decoded=decoded)


class Try:
    """One try at a batch: what is found out and decided on its way. An index is a delivery's place in the batch."""

    def __init__(self, batch: Batch, numbering: Numbering, dead_letter_after: int) -> None:
        self.batch = batch
        self.batch.left = None
        self.numbering = numbering.copy()
        self.plan = Plan()
        self.settlement = Settlement(batch.deliveries)
        self.submissions: dict[int, Submission] = {}
        self._dead_letter_after = dead_letter_after

    def decode(self, max_bytes: int) -> None:
        """Find the submissions; what is none is answered or dead-lettered."""
        for index, decoded in enumerate(self.batch.decoded(max_bytes)):
            if isinstance(decoded, Submission):
                self.submissions[index] = decoded
            elif decoded.refusal is not None:
                self.plan.refuse(index, decoded.refusal)
            else:
                self.settlement.bury(index, decoded.reason)

    def asked(self) -> Asked:
        """What is to be looked up."""
        return Asked(self.batch.shard, list(self.submissions.values()), self.numbering.resumed_ms)

    def fail_unjudged(self) -> None:
        """A submission that a policy crashed over is tried again, or was tried too often."""
        for index, failure in self.plan.failed.items():
            log.error(
                "policy_failed",
                shard=self.batch.shard,
                routing_key=shown_key(self.batch.deliveries[index]),
                message_id=self.submissions[index].message_id,
                policy=failure.policy,
                exc_info=failure,
            )
            self.fail(index, str(failure))

    def fail_unpublished(self, refused: Sequence[int]) -> None:
        """Those of whose publications the broker refused one, by place in the plan, and those behind them.

        A subscriber that comes and goes refuses for a moment, and so does a broker that stops
        (docs/facts.md, "Subscribers that leave"). Left to wait here, they keep their order and keep up nobody else's.
        """
        places = with_followers(self.plan.publications, refused)
        indexes = sorted({self.plan.sources[place] for place in places} - self.settlement.ended)
        if indexes and self.batch.refusals < REFUSALS_IN_PLACE:
            self.settlement.leave(indexes)
            self.batch.leave(indexes)
        else:
            for index in indexes:
                self.fail(index, "the broker refused a copy of it")

    def fail(self, index: int, reason: str) -> None:
        """It could not be done: tried again later, or, after too many tries, dead-lettered and its sender told."""
        incoming, submission = self.batch.deliveries[index], self.submissions.get(index)
        # One whose topic is no text cannot be published again.
        is_last = incoming.attempt >= self._dead_letter_after or not incoming.is_valid_text
        message_id = incoming.message_id if submission is None else submission.message_id
        self.settlement.fail(index, reason, message_id=message_id, is_last=is_last)
        refusal = refusal_of_dead(incoming, submission) if is_last else None
        if refusal is not None:
            self.plan.refuse(index, refusal)
