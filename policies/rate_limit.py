"""Policy `rate_limit`: how many messages a sender may send."""

from dataclasses import dataclass

from observer.message import Submission
from policies.base import ALLOW, Fact, Facts, Policy, Reject, Verdict


@dataclass(frozen=True, slots=True)
class RateLimitOptions:
    """The size of each sender's token bucket; `observer/pipeline/rates.py` keeps the buckets."""

    capacity: int
    """Messages that may come at once."""
    refill_per_s: float
    """Messages per second in the long run."""


class RateLimitPolicy(Policy):
    """Refuses a message for which the sender's token bucket had no token, and says when there will be one."""

    name = "rate_limit"
    needs = frozenset({Fact.RATE})

    def __init__(self, options: RateLimitOptions) -> None:
        self._reason = (
            f"you may send {options.capacity} messages at once and {options.refill_per_s:g} a second in the long run"
        )

    def on_submit(self, submission: Submission, facts: Facts) -> Verdict:
        """Reject with `rate_limited` where `facts.allowance` says so."""
        if facts.allowance.is_allowed:
            return ALLOW
        return Reject("rate_limited", self._reason, facts.allowance.retry_after_s)
