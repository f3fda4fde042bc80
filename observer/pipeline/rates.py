"""Token buckets of the senders: what the policy `rate_limit` reads as `Facts.allowance`.

Each process keeps those of the shards it owns, in memory; a restart fills them all.
"""

from collections import OrderedDict
from dataclasses import dataclass

from policies.base import Allowance

ALLOWED = Allowance()
REMEMBERED_IDS = 100_000
ROUNDING = 1e-9  # sums of fractions of a token end a hair below the whole


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


class RateLedger:
    """Charges each message to its sender once, and says whether there was a token for it.

    Memory is bounded. Of more than `max_users` senders the one charged longest ago is forgotten: usually his bucket is
    full again, and a new one would be the same; if not, he gains what it lacked. Of the messages that were allowed the
    last `remembered_ids` are known, so that a redelivered one is allowed again without a second charge.
    """

    def __init__(
        self, capacity: int, refill_per_s: float, max_users: int = 100_000, *, remembered_ids: int = REMEMBERED_IDS
    ) -> None:
        self._capacity = capacity
        self._refill_per_s = refill_per_s
        self._max_users = max_users
        self._remembered_ids = remembered_ids
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()
        self._allowed_ids: OrderedDict[str, None] = OrderedDict()

    def charge(self, app: str, user: str, message_id: str, now_s: float) -> Allowance:
        """Take a token of the sender's for this message. A message that was refused is judged anew when it comes again.

        If the clock `now_s` goes back, nothing is refilled or lost, and refilling goes on from there.
        """
        if message_id in self._allowed_ids:
            return ALLOWED
        bucket = self._filled((app, user), now_s)
        if bucket.tokens < 1 - ROUNDING:
            return Allowance(is_allowed=False, retry_after_s=(1 - bucket.tokens) / self._refill_per_s)
        bucket.tokens -= 1
        self._remember(message_id)
        return ALLOWED

    def _filled(self, owner: tuple[str, str], now_s: float) -> _Bucket:
        bucket = self._buckets.get(owner)
        if bucket is None:
            return self._new(owner, now_s)
        self._buckets.move_to_end(owner)
        passed_s = max(0.0, now_s - bucket.filled_at_s)
        bucket.tokens = min(self._capacity, bucket.tokens + passed_s * self._refill_per_s)
        bucket.filled_at_s = now_s
        return bucket

    def _new(self, owner: tuple[str, str], now_s: float) -> _Bucket:
        if len(self._buckets) >= self._max_users:
            self._buckets.popitem(last=False)
        bucket = self._buckets[owner] = _Bucket(self._capacity, now_s)
        return bucket

    def _remember(self, message_id: str) -> None:
        if len(self._allowed_ids) >= self._remembered_ids:
            self._allowed_ids.popitem(last=False)
        self._allowed_ids[message_id] = None
