"""Policy `privacy`: a user decides who may write to him."""

from observer.message import Submission
from policies.base import ALLOW, Fact, Facts, Policy, Privacy, Reject, Verdict, WhoMayWrite


class PrivacyPolicy(Policy):
    """Refuses a message that its recipient does not take from this sender.

    Everyone, nobody, or contacts: those the recipient has named, or has ever written to.
    Writing to oneself is always allowed.
    """

    name = "privacy"
    needs = frozenset({Fact.PRIVACY, Fact.RELATION})

    def __init__(self, default: Privacy) -> None:
        """`default` holds for a recipient who has not chosen."""
        self._default = default

    def on_deliver(self, submission: Submission, recipient: str, facts: Facts) -> Verdict:
        """Reject with `not_allowed` where the recipient's choice shuts the sender out."""
        choice = (facts.privacy or self._default).who_may_write
        if choice is WhoMayWrite.EVERYONE or recipient == submission.sender:
            return ALLOW
        if choice is WhoMayWrite.CONTACTS and facts.relation.is_contact:
            return ALLOW
        return Reject("not_allowed", "the recipient does not take messages from you")
