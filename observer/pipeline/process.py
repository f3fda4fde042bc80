"""The way of a message, on one screen: decode → look up → judge → save → publish → settle (docs/architecture.md)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from observer.broker.base import Publisher
from observer.errors import BrokerUnavailable
from observer.message import Message
from observer.metrics import Metrics
from observer.pipeline.account import account_saved, account_settled
from observer.pipeline.batch import Batch, Try
from observer.pipeline.decode import MAX_BYTES
from observer.pipeline.judge import judge
from observer.pipeline.look_up import look_up
from observer.pipeline.numbering import Numbering
from observer.pipeline.plan import Plan
from observer.pipeline.rates import RateLedger
from observer.pipeline.settle import settle
from observer.store.base import MessageStore
from policies.chain import PolicyChain


@dataclass(frozen=True, slots=True)
class Services:
    """What the pipeline works with; built once in app.py."""

    store: MessageStore
    policies: PolicyChain
    rates: RateLedger
    metrics: Metrics
    now_ms: Callable[[], int]
    dead_letter_after: int
    max_bytes: int = MAX_BYTES


async def process(
    batches: Sequence[tuple[Batch, Numbering]], publisher: Publisher, services: Services
) -> Sequence[Numbering | BrokerUnavailable]:
    """Take batches, one a shard, their whole way together: they share the round trips.

    With each comes how its shard's numbering stands. Returns how it goes on, or why the batch could not be settled.
    Everything here may run twice: messages are keyed by their id, conversations only move forward, clients drop a
    message id that they know.

    Raises Unavailable and ShardLost with nothing settled; anything else that it raises is the fault of a message.
    """
    metrics = services.metrics
    tries = [Try(batch, numbering, services.dead_letter_after) for batch, numbering in batches]
    with metrics.time_stage("decode"):
        for one in tries:
            one.decode(services.max_bytes)
    with metrics.time_stage("look_up"):
        looked_up = await look_up(
            services.store,
            services.rates,
            [one.asked() for one in tries],
            needs=services.policies.needs,
            now_ms=services.now_ms(),
        )
    with metrics.time_stage("judge"):
        planned: dict[str, Message] = {}
        for one in tries:
            judge(one, looked_up, services.policies, planned)
            one.fail_unjudged()
    with metrics.time_stage("save"):
        messages = [message for one in tries for message in one.plan.messages]
        known = [message for one in tries for message in one.plan.known]
        if messages or known:
            await services.store.save(messages, known)
        for one in tries:
            account_saved(one, services.policies.names, metrics)
    with metrics.time_stage("publish"):
        await _publish(tries, publisher)
    with metrics.time_stage("settle"):
        endings = [await _settle(one) for one in tries]
    for one, ending in zip(tries, endings, strict=True):
        if not isinstance(ending, BrokerUnavailable):
            account_settled(one, metrics)
    return endings


async def give_up(batch: Batch, reason: str, publisher: Publisher, services: Services) -> None:
    """End a batch of one message that met a bug in every try: it is tried again later, or dead-lettered and told.

    Raises BrokerUnavailable: then it comes again.
    """
    last = Try(batch, Numbering(0, 0), services.dead_letter_after)
    last.decode(services.max_bytes)
    last.plan = Plan()  # of what it meant nothing is done any more
    last.fail(0, reason)
    await publisher.publish(last.plan.publications)
    await settle(batch.shard, batch.queue, last.settlement)
    account_settled(last, services.metrics)


async def _publish(tries: Sequence[Try], publisher: Publisher) -> None:
    """Publish everything, all confirms awaited together; then tell those whose message has failed for good by that.

    What the broker refuses is left for another try, a few times (`Batch.left`).
    """
    publications = [publication for one in tries for publication in one.plan.publications]
    refused = await publisher.publish(publications) if publications else ()
    if not refused:
        return
    start, told = 0, []
    for one in tries:
        end = start + len(one.plan.publications)
        one.fail_unpublished([place - start for place in refused if start <= place < end])
        told += one.plan.publications[end - start :]
        start = end
    if told:
        await publisher.publish(told)


async def _settle(one: Try) -> Numbering | BrokerUnavailable:
    """A line that is lost is its own shard's affair."""
    try:
        await settle(one.batch.shard, one.batch.queue, one.settlement)
    except BrokerUnavailable as error:
        return error
    return one.numbering
