"""Policy `block`: whom a user has blocked does not reach him, and does not learn of it."""

from observer.message import Submission
from policies.base import ALLOW, Drop, Fact, Facts, Policy, Verdict


class BlockPolicy(Policy):
    """Drops a message whose recipient has blocked its sender; to the sender it looks sent.

    Writing to oneself is always allowed.
    """

    name = "block"
    needs = frozenset({Fact.RELATION})

    def on_deliver(self, submission: Submission, recipient: str, facts: Facts) -> Verdict:
        """Drop where `facts.relation` says blocked."""
        if facts.relation.is_blocked and recipient != submission.sender:
            return Drop("blocked")
        return ALLOW
