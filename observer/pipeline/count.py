"""Counts for the operator what a batch came to."""

from collections import Counter

from observer.broker.base import Outcome
from observer.metrics import Metrics
from observer.pipeline.judge import Plan
from observer.pipeline.settle import Settlement
from policies.base import Drop, Reject


def count(plan: Plan, settlement: Settlement, policies: tuple[str, ...], metrics: Metrics) -> None:
    """Add the outcome of one batch to the metrics; `policies` in the order in which they are asked."""
    dropped = Counter(one.policy for one in plan.judgements if isinstance(one.verdict, Drop))
    rejected = Counter(one.policy for one in plan.judgements if isinstance(one.verdict, Reject))
    asked = len(plan.judgements)
    for policy in policies:
        stopped = dropped[policy] + rejected[policy]
        metrics.count_verdicts(policy, "allow", asked - stopped)
        if stopped:
            metrics.count_verdicts(policy, "drop", dropped[policy])
            metrics.count_verdicts(policy, "reject", rejected[policy])
        asked -= stopped
    metrics.count_messages("stored", len(plan.messages))
    metrics.count_messages("dropped", dropped.total())
    metrics.count_messages("repeated", plan.repeated)
    metrics.count_messages("refused", plan.refusals.total())
    for code, times in plan.refusals.items():
        metrics.count_refusals(code, times)
    for ending in settlement.others:
        if ending.outcome is Outcome.RETRY:
            metrics.count_messages("retried")
        else:
            metrics.count_messages("dead_lettered")
            metrics.count_dead_letters("failed" if ending.is_failure else "invalid")
