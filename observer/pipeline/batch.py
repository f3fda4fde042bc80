"""The way of a batch, on one screen: decode → look up → judge → save → publish → settle (docs/architecture.md)."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from observer.broker.base import Incoming, Publisher, ShardQueue
from observer.message import Submission
from observer.metrics import Metrics
from observer.pipeline.count import count
from observer.pipeline.decode import MAX_BYTES, Refused, decode
from observer.pipeline.judge import Plan, judge
from observer.pipeline.look_up import look_up
from observer.pipeline.numbering import Numbering
from observer.pipeline.rates import RateLedger
from observer.pipeline.settle import Settlement, is_last_try, refusal_of_dead, settle
from observer.store.base import MessageStore
from policies.chain import PolicyChain

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Services:
    """What the pipeline works with; built once in app.py."""

    store: MessageStore
    policies: PolicyChain
    rates: RateLedger
    metrics: Metrics
    now_ms: Callable[[], int]
    dead_letter_after: int
    turns: asyncio.Semaphore
    """How many shards may be on their way at once: while one waits for its turn, its next batch grows."""
    max_bytes: int = MAX_BYTES


@dataclass(slots=True)
class Batch:
    """Deliveries of one shard that go their way together."""

    deliveries: Sequence[Incoming]
    is_repeat: bool = False
    """An earlier try at them may have been half done."""
    _decoded: Sequence[Submission | Refused] | None = None

    def decoded(self, max_bytes: int) -> Sequence[Submission | Refused]:
        """What they mean. Decoded once: an id that was given by chance must stay the same in every try."""
        if self._decoded is None:
            self._decoded = [decode(one, max_bytes=max_bytes) for one in self.deliveries]
        return self._decoded

    def halves(self) -> tuple["Batch", "Batch"]:
        """Both to be tried again, apart."""
        middle = len(self.deliveries) // 2
        decoded = self._decoded
        return (
            Batch(self.deliveries[:middle], True, decoded[:middle] if decoded is not None else None),
            Batch(self.deliveries[middle:], True, decoded[middle:] if decoded is not None else None),
        )


async def process(
    batch: Batch,
    *,
    queue: ShardQueue,
    publisher: Publisher,
    numbering: Numbering,
    shard: int,
    services: Services,
) -> Numbering:
    """Take a batch its whole way, and return how the shard's numbering goes on.

    Everything here may run twice: messages are keyed by their id, conversations only move forward, clients drop a
    message id that they know.

    Raises Unavailable and ShardLost with nothing settled; anything else that it raises is the fault of a message.
    """
    metrics = services.metrics
    plan = Plan()
    with metrics.time_stage("decode"):
        submissions, settlement = _decode(batch, plan, services.max_bytes)
    with metrics.time_stage("look_up"):
        looked_up = await look_up(
            services.store,
            services.rates,
            [submission for _, submission in submissions],
            needs=services.policies.needs,
            shard=shard,
            now_ms=services.now_ms(),
        )
    with metrics.time_stage("judge"):
        numbering = numbering.copy()
        judge(plan, submissions, looked_up, services.policies, numbering, shard, is_repeat=batch.is_repeat)
        _tell_of_dead(batch.deliveries, plan, services.dead_letter_after)
    with metrics.time_stage("save"):
        if plan.messages or plan.known:
            await services.store.save(plan.messages, plan.known)
    with metrics.time_stage("publish"):
        unpublished = await publisher.publish(plan.publications) if plan.publications else ()
    with metrics.time_stage("settle"):
        for index, failure in plan.failed.items():
            log.error("policy_failed", policy=failure.policy, exc_info=failure)
            settlement.fail(index, str(failure), services.dead_letter_after)
        for index in sorted({plan.sources[place] for place in unpublished}):
            settlement.fail(index, "the broker refused a copy of it", services.dead_letter_after)
        await settle(queue, settlement)
    count(plan, settlement, services.policies.names, metrics)
    return numbering


def _decode(batch: Batch, plan: Plan, max_bytes: int) -> tuple[Sequence[tuple[int, Submission]], Settlement]:
    """The submissions with their places in the batch; what is none of them is answered or dead-lettered."""
    settlement = Settlement(batch.deliveries)
    submissions = []
    for index, decoded in enumerate(batch.decoded(max_bytes)):
        if isinstance(decoded, Submission):
            submissions.append((index, decoded))
        else:
            _refuse(index, decoded, plan, settlement)
    return submissions, settlement


def _tell_of_dead(batch: Sequence[Incoming], plan: Plan, dead_letter_after: int) -> None:
    for index in plan.failed:
        refusal = refusal_of_dead(batch[index]) if is_last_try(batch[index], dead_letter_after) else None
        if refusal is not None:
            plan.refuse(index, refusal)


def _refuse(index: int, refused: Refused, plan: Plan, settlement: Settlement) -> None:
    if refused.refusal is not None:
        plan.refuse(index, refused.refusal)
    else:
        settlement.bury(index, refused.reason)
