"""Policy `rate_limit`: a sender without a token is told when he will have one."""

from policies.base import ALLOW, Allowance, Fact, Facts, Reject
from policies.rate_limit import RateLimitOptions, RateLimitPolicy
from tests.unit.policies.submissions import make_submission

POLICY = RateLimitPolicy(RateLimitOptions(capacity=60, refill_per_s=5))


def test_it_asks_for_the_rate() -> None:
    assert POLICY.needs == {Fact.RATE}


def test_a_message_with_a_token_is_allowed() -> None:
    assert POLICY.on_submit(make_submission(), Facts(now_ms=0, allowance=Allowance(is_allowed=True))) is ALLOW


def test_a_message_without_a_token_is_refused_with_the_time_to_wait() -> None:
    facts = Facts(now_ms=0, allowance=Allowance(is_allowed=False, retry_after_s=1.5))
    assert POLICY.on_submit(make_submission(), facts) == Reject(
        "rate_limited", "you may send 60 messages at once and 5 a second in the long run", 1.5
    )
