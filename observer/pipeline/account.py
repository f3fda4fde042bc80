"""Tells the operator what a batch came to: in metrics, and at level `debug` with a line a message."""

import logging
from collections import Counter

import structlog

from observer.broker.base import Outcome
from observer.metrics import Metrics
from observer.pipeline.batch import Try
from policies.base import Drop, Reject

log = structlog.get_logger()


def account_saved(one: Try, policies: tuple[str, ...], metrics: Metrics) -> None:
    """What was judged and is stored now; `policies` in the order in which they are asked."""
    _count_verdicts(one, policies, metrics)
    metrics.count_messages("stored", len(one.plan.messages))
    if _is_wanted(logging.DEBUG):
        _tell_saved(one)


def account_settled(one: Try, metrics: Metrics) -> None:
    """Whatever else became of the deliveries."""
    plan = one.plan
    metrics.count_messages("repeated", plan.repeated)
    metrics.count_messages("refused", len(plan.refusals))
    for code, times in Counter(refusal.code for refusal in plan.refusals).items():
        metrics.count_refusals(code, times)
    for ending in one.settlement.others:
        if ending.outcome is Outcome.RETRY:
            metrics.count_messages("retried")
        else:
            metrics.count_messages("dead_lettered")
            metrics.count_dead_letters("failed" if ending.is_failure else "invalid")
    if plan.refusals and _is_wanted(logging.DEBUG):
        _tell_refused(one)


def _count_verdicts(one: Try, policies: tuple[str, ...], metrics: Metrics) -> None:
    judgements = one.plan.judgements.values()
    dropped = Counter(each.policy for each in judgements if isinstance(each.verdict, Drop))
    rejected = Counter(each.policy for each in judgements if isinstance(each.verdict, Reject))
    asked = len(judgements)
    for policy in policies:
        stopped = dropped[policy] + rejected[policy]
        metrics.count_verdicts(policy, "allow", asked - stopped)
        if stopped:
            metrics.count_verdicts(policy, "drop", dropped[policy])
            metrics.count_verdicts(policy, "reject", rejected[policy])
        asked -= stopped
    metrics.count_messages("dropped", dropped.total())


def _is_wanted(level: int) -> bool:
    """Asked once a batch: a line that nobody wants costs as much as a message's share of a round trip."""
    is_wanted: bool = log.bind().is_enabled_for(level)
    return is_wanted


def _tell_saved(one: Try) -> None:
    shard = one.batch.shard
    for message in one.plan.messages:
        log.debug(
            "message_stored",
            shard=shard,
            message_id=message.message_id,
            app=message.app,
            sender=message.sender,
            recipient=message.recipient,
        )
    for index, judgement in one.plan.judgements.items():
        if isinstance(judgement.verdict, Drop):
            message_id = one.submissions[index].message_id
            log.debug(
                "message_dropped",
                shard=shard,
                message_id=message_id,
                policy=judgement.policy,
                reason=judgement.verdict.reason,
            )


def _tell_refused(one: Try) -> None:
    for refusal in one.plan.refusals:
        log.debug(
            "message_refused",
            shard=one.batch.shard,
            app=refusal.app,
            sender=refusal.sender,
            recipient=refusal.recipient,
            client_message_id=refusal.client_message_id,
            code=refusal.code,
        )
