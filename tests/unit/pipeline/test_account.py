"""What a batch came to, as the operator's metrics and log tell it."""

import logging
from collections.abc import Sequence

import pytest
import structlog
from structlog.testing import capture_logs

from observer.broker.base import Incoming
from observer.message import Message, Refusal, Submission
from observer.metrics import Metrics
from observer.pipeline.account import account_saved, account_settled
from observer.pipeline.batch import Batch, Try
from observer.pipeline.numbering import Numbering
from policies.base import Drop, Reject
from policies.chain import ALLOWED, Judgement

POLICIES = ("shape", "ban", "block")
MESSAGE = Message("m", "demo", "eve", "bob", b"{}", timestamp_ms=7, owners=("eve", "bob"), shard=0, offset=0)
REJECTED, DROPPED = Judgement(Reject("too_large", "why"), "shape"), Judgement(Drop("blocked"), "block")


def a_try(deliveries: Sequence[Incoming] = ()) -> Try:
    return Try(Batch(0, None, deliveries), Numbering(0, 0), dead_letter_after=2)  # type: ignore[arg-type]


def counted(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every series that is not zero: its labels' values, behind the short name of its metric."""
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


def saved(one: Try) -> dict[tuple[str, ...], float]:
    metrics = Metrics(POLICIES)
    account_saved(one, POLICIES, metrics)
    return counted(metrics)


def settled(one: Try) -> dict[tuple[str, ...], float]:
    metrics = Metrics(POLICIES)
    account_settled(one, metrics)
    return counted(metrics)


def test_a_policy_counts_for_what_was_asked_of_it() -> None:
    """Of four messages `shape` stops one and `block` another; who stands behind is asked about the rest only."""
    one = a_try()
    one.submissions = dict.fromkeys(range(4), Submission("m", "demo", "eve", "bob", {}, 2))
    one.plan.judgements = dict(enumerate([ALLOWED, REJECTED, DROPPED, ALLOWED]))
    assert saved(one) == {
        ("verdicts", "shape", "allow"): 3,
        ("verdicts", "shape", "reject"): 1,
        ("verdicts", "ban", "allow"): 3,
        ("verdicts", "block", "allow"): 2,
        ("verdicts", "block", "drop"): 1,
        ("messages", "dropped"): 1,
    }


def test_each_message_each_repeat_and_each_refusal_counts() -> None:
    """A message counts when it is stored: a try that ends there would else count it as a repeat alone."""
    one = a_try()
    one.plan.messages, one.plan.repeated = [MESSAGE], 3
    for code in ("banned", "too_large", "banned"):
        one.plan.refuse(0, Refusal("demo", "eve", code, "why"))
    assert saved(one) == {("messages", "stored"): 1}
    assert settled(one) == {
        ("messages", "repeated"): 3,
        ("messages", "refused"): 3,
        ("refusals", "banned"): 2,
        ("refusals", "too_large"): 1,
    }


def test_a_delivery_that_is_not_simply_done_counts_by_how_it_ends() -> None:
    one = a_try([Incoming(tag, "apps.demo.odd", b"", attempt=tag) for tag in (1, 2, 3)])
    one.settlement.fail(0, "a bug", message_id=None, is_last=False)
    one.settlement.fail(1, "a bug", message_id=None, is_last=True)
    one.settlement.bury(2, "no author")
    assert settled(one) == {
        ("messages", "retried"): 1,
        ("messages", "dead_lettered"): 2,
        ("dead_letters", "failed"): 1,
        ("dead_letters", "invalid"): 1,
    }


@pytest.mark.parametrize(("level", "is_told"), [(logging.DEBUG, True), (logging.INFO, False)])
def test_at_level_debug_each_message_is_told_by_its_id(level: int, is_told: bool) -> None:
    """So that an operator can find out why somebody did not get one; at any other level nothing of it is made."""
    one = a_try()
    one.submissions = {0: Submission("m", "demo", "eve", "bob", {}, 2)}
    one.plan.messages, one.plan.judgements = [MESSAGE], {0: DROPPED}
    one.plan.refuse(0, Refusal("demo", "eve", "banned", "why", "bob", "c-1"))
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    try:
        with capture_logs() as logged:
            account_saved(one, POLICIES, Metrics(POLICIES))
            account_settled(one, Metrics(POLICIES))
    finally:
        structlog.configure(wrapper_class=before)

    who = {"shard": 0, "app": "demo", "sender": "eve", "recipient": "bob", "log_level": "debug"}
    told = [
        {"event": "message_stored", "message_id": "m"} | who,
        {
            "event": "message_dropped",
            "message_id": "m",
            "policy": "block",
            "reason": "blocked",
            "shard": 0,
            "log_level": "debug",
        },
        {"event": "message_refused", "client_message_id": "c-1", "code": "banned"} | who,
    ]
    assert logged == (told if is_told else [])
