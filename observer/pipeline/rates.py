"""What the senders' token buckets say of each message: what the policy `rate_limit` reads as `Facts.allowance`.

Each process keeps those of the shards it owns, in memory; a restart fills them all.
"""

from collections import OrderedDict

from observer.token_buckets import TokenBuckets
from policies.base import Allowance

ALLOWED = Allowance()
MAX_SENDERS = 100_000
REMEMBERED_IDS = 100_000


class RateLedger:
    """Charges each message to its sender once, and says whether there was a token for it.

    Of the messages that were allowed the last `remembered_ids` are known, so that a redelivered one is allowed again
    without a second charge.
    """

    def __init__(self, capacity: int, refill_per_s: float, *, remembered_ids: int = REMEMBERED_IDS) -> None:
        self._buckets = TokenBuckets(capacity=capacity, refill_per_s=refill_per_s, max_keys=MAX_SENDERS)
        self._remembered_ids = remembered_ids
        self._allowed_ids: OrderedDict[str, None] = OrderedDict()

    def charge(self, app: str, user: str, message_id: str, now_s: float) -> Allowance:
        """Take a token of the sender's for this message. One that was refused is judged anew when it comes again."""
        if message_id in self._allowed_ids:
            return ALLOWED
        wait_s = self._buckets.take((app, user), now_s)
        if wait_s:
            return Allowance(is_allowed=False, retry_after_s=wait_s)
        self._remember(message_id)
        return ALLOWED

    def _remember(self, message_id: str) -> None:
        if len(self._allowed_ids) >= self._remembered_ids:
            self._allowed_ids.popitem(last=False)
        self._allowed_ids[message_id] = None
