"""Policy `ban`: a user shut out of an app sends nothing in it."""

from observer.message import Submission
from policies.base import ALLOW, Fact, Facts, Policy, Reject, Verdict


class BanPolicy(Policy):
    """Refuses every message of a banned sender until the ban ends."""

    name = "ban"
    needs = frozenset({Fact.BAN})

    def on_submit(self, submission: Submission, facts: Facts) -> Verdict:
        """Reject with `banned`, the administrator's reason, and how long it still lasts if it ever ends."""
        ban = facts.ban
        if ban is None or not ban.is_in_force(facts.now_ms):
            return ALLOW
        rest_s = None if ban.until_ms is None else (ban.until_ms - facts.now_ms) / 1000
        return Reject("banned", ban.reason or "you are banned from this app", rest_s)
