"""What a batch came to, as the operator's metrics tell it."""

from observer.broker.base import Incoming
from observer.message import Message, Refusal
from observer.metrics import Metrics
from observer.pipeline.count import count
from observer.pipeline.judge import Plan
from observer.pipeline.settle import Settlement
from policies.base import Drop, Reject
from policies.chain import ALLOWED, Judgement

POLICIES = ("shape", "ban", "block")
MESSAGE = Message("m", "demo", "eve", "bob", b"{}", timestamp_ms=7, owners=("eve", "bob"), shard=0, offset=0)


def counted(plan: Plan, settlement: Settlement | None = None) -> dict[tuple[str, ...], float]:
    """Every series that is not zero: its labels' values, behind the short name of its metric."""
    metrics = Metrics(POLICIES)
    count(plan, settlement or Settlement([]), POLICIES, metrics)
    names = {
        "observer_messages_total": "messages",
        "observer_policy_verdicts_total": "verdicts",
        "observer_refusals_total": "refusals",
        "observer_dead_letters_total": "dead_letters",
    }
    return {
        (names[one.name], *one.labels.values()): one.value
        for family in metrics.registry.collect()
        for one in family.samples
        if one.name in names and one.value
    }


def test_a_policy_counts_for_what_was_asked_of_it() -> None:
    """Of four messages `shape` stops one and `block` another; who stands behind is asked about the rest only."""
    rejected, dropped = Judgement(Reject("too_large", "why"), "shape"), Judgement(Drop("blocked"), "block")
    assert counted(Plan(judgements=[ALLOWED, rejected, dropped, ALLOWED])) == {
        ("verdicts", "shape", "allow"): 3,
        ("verdicts", "shape", "reject"): 1,
        ("verdicts", "ban", "allow"): 3,
        ("verdicts", "block", "allow"): 2,
        ("verdicts", "block", "drop"): 1,
        ("messages", "dropped"): 1,
    }


def test_each_message_each_repeat_and_each_refusal_counts() -> None:
    plan = Plan(messages=[MESSAGE], repeated=3)
    for code in ("banned", "too_large", "banned"):
        plan.refuse(0, Refusal("demo", "eve", code, "why"))
    assert counted(plan) == {
        ("messages", "stored"): 1,
        ("messages", "repeated"): 3,
        ("messages", "refused"): 3,
        ("refusals", "banned"): 2,
        ("refusals", "too_large"): 1,
    }


def test_a_delivery_that_is_not_simply_done_counts_by_how_it_ends() -> None:
    settlement = Settlement([Incoming(tag, "apps.demo.odd", b"", attempt=tag) for tag in (1, 2, 3)])
    settlement.fail(0, "a bug", dead_letter_after=2)
    settlement.fail(1, "a bug", dead_letter_after=2)
    settlement.bury(2, "no author")
    assert counted(Plan(), settlement) == {
        ("messages", "retried"): 1,
        ("messages", "dead_lettered"): 2,
        ("dead_letters", "failed"): 1,
        ("dead_letters", "invalid"): 1,
    }
