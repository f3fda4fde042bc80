"""The chain: the first verdict that is not Allow wins, and nothing that fails lets a message through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import ORDER, build_policies
from policies.base import (
    ALLOW,
    Allow,
    Allowance,
    Ban,
    Drop,
    Fact,
    Facts,
    Policy,
    Privacy,
    Reject,
    Relation,
    Verdict,
    WhoMayWrite,
)
from policies.chain import Judgement, PolicyChain, PolicyFailed
from tests.unit.policies.options import ALL_OFF, DEFAULTS
from tests.unit.policies.submissions import make_submission

FACTS = Facts(now_ms=0)


class Saying(Policy):
    """Gives the same verdict at both stages, and counts how often it is asked."""

    def __init__(self, name: str, verdict: Any) -> None:
        self.name = name
        self.verdict = verdict
        self.asked = 0

    def on_submit(self, submission: object, facts: Facts) -> Verdict:
        return self._answer()

    def on_deliver(self, submission: object, recipient: str, facts: Facts) -> Verdict:
        return self._answer()

    def _answer(self) -> Verdict:
        self.asked += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        verdict: Verdict = self.verdict
        return verdict


def both_stages(chain: PolicyChain) -> list[Judgement]:
    submission = make_submission()
    return [chain.on_submit(submission, FACTS), chain.on_deliver(submission, "bob", FACTS)]


def test_a_message_that_no_policy_minds_is_allowed_in_nobodys_name() -> None:
    chain = PolicyChain([Saying("one", ALLOW), Saying("two", Allow()), Policy()])
    assert both_stages(chain) == [Judgement(ALLOW), Judgement(ALLOW)]
    assert both_stages(PolicyChain([])) == [Judgement(ALLOW), Judgement(ALLOW)]


@pytest.mark.parametrize("verdict", [Drop("why"), Reject("code", "why", 1.0)])
def test_the_first_verdict_against_a_message_wins_and_the_rest_is_not_asked(verdict: Verdict) -> None:
    later = Saying("later", Reject("other", "other"))
    chain = PolicyChain([Saying("content", ALLOW), Saying("first", verdict), later])
    assert both_stages(chain) == [Judgement(verdict, "first")] * 2
    assert later.asked == 0


@pytest.mark.parametrize("stage", ["on_submit", "on_deliver"])
def test_a_policy_that_sets_a_stage_on_itself_alone_is_asked_too(stage: str) -> None:
    """A third party may wrap a function so; it must not be taken for one that has nothing to say."""
    policy = Policy()
    setattr(policy, stage, lambda *_: Drop("why"))
    assert Judgement(Drop("why")) in both_stages(PolicyChain([policy]))


@pytest.mark.parametrize("error", [KeyError("text"), ValueError(), RecursionError(), AssertionError()], ids=repr)
def test_a_policy_that_raises_fails_the_judgement_and_is_named(error: Exception) -> None:
    chain = PolicyChain([Saying("broken", error), Saying("content", ALLOW)])
    with pytest.raises(PolicyFailed, match="policy broken raised") as on_submit:
        chain.on_submit(make_submission(), FACTS)
    with pytest.raises(PolicyFailed, match="policy broken raised"):
        chain.on_deliver(make_submission(), "bob", FACTS)
    assert on_submit.value.policy == "broken"
    assert on_submit.value.__cause__ is error


@pytest.mark.parametrize("answer", [None, True, "allow", Allow, ()], ids=repr)
def test_an_answer_that_is_no_verdict_is_a_failure_and_not_an_allow(answer: object) -> None:
    chain = PolicyChain([Saying("odd", answer)])
    with pytest.raises(PolicyFailed, match="policy odd returned"):
        chain.on_submit(make_submission(), FACTS)
    with pytest.raises(PolicyFailed, match="policy odd returned"):
        chain.on_deliver(make_submission(), "bob", FACTS)


def test_the_chain_needs_what_any_of_its_policies_needs() -> None:
    assert build_policies(DEFAULTS).needs == set(Fact)
    assert PolicyChain([]).needs == set()


def test_the_built_in_policies_stand_in_the_visible_order() -> None:
    assert build_policies(DEFAULTS).names == tuple(name for name in ORDER if name != "extra")


def test_a_policy_that_is_switched_off_is_not_in_the_chain() -> None:
    assert build_policies(ALL_OFF).names == ()
    assert build_policies(ALL_OFF).needs == set()


all_facts = st.builds(
    Facts,
    now_ms=st.just(1000),
    ban=st.none() | st.builds(Ban, until_ms=st.none() | st.integers(0, 2000)),
    allowance=st.builds(Allowance, is_allowed=st.booleans()),
    relation=st.builds(Relation, is_blocked=st.just(False), is_contact=st.booleans()),
    privacy=st.none() | st.builds(Privacy, who_may_write=st.sampled_from(WhoMayWrite)),
)
bodies = st.sampled_from([{"text": "hi"}, {"text": 1}, {"channel_type": "group"}])


def told(chain: PolicyChain, body: dict[str, Any], facts: Facts) -> Verdict:
    """What the sender sees: a refusal, or that all is well."""
    submission = make_submission(body)
    for judgement in (chain.on_submit(submission, facts), chain.on_deliver(submission, "bob", facts)):
        if isinstance(judgement.verdict, Reject):
            return judgement.verdict
    return ALLOW


@given(body=bodies, facts=all_facts)
def test_what_a_sender_is_told_never_depends_on_whether_he_is_blocked(body: dict[str, Any], facts: Facts) -> None:
    chain = build_policies(DEFAULTS)
    blocked = Relation(is_blocked=True, is_contact=facts.relation.is_contact)
    if_blocked = Facts(facts.now_ms, facts.ban, facts.allowance, blocked, facts.privacy)
    assert told(chain, body, if_blocked) == told(chain, body, facts)


@given(facts=all_facts)
def test_a_blocked_sender_never_reaches_the_recipient(facts: Facts) -> None:
    blocked = Relation(is_blocked=True, is_contact=facts.relation.is_contact)
    facts = Facts(facts.now_ms, facts.ban, facts.allowance, blocked, facts.privacy)
    judgement = build_policies(DEFAULTS).on_deliver(make_submission(), "bob", facts)
    assert not isinstance(judgement.verdict, Allow)
