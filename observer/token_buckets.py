"""Token buckets, one a key: how often somebody may do something, at once and in the long run."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

_ROUNDING = 1e-9  # sums of fractions of a token end a hair below the whole


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_s: float


class TokenBuckets:
    """Buckets in memory, of bounded number.

    Of more than `max_keys` the one unused for longest is forgotten: usually it is full again, and a new one would be
    the same; if not, its owner gains what it lacked.
    """

    def __init__(self, *, capacity: int, refill_per_s: float, max_keys: int) -> None:
        self._capacity = capacity
        self._refill_per_s = refill_per_s
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, now_s: float) -> float:
        """Take one token of `key`: 0.0 if there was one, else the seconds until there is.

        If the clock `now_s` goes back, nothing is refilled or lost, and refilling goes on from there.
        """
        bucket = self._filled(key, now_s)
        if bucket.tokens < 1 - _ROUNDING:
            return (1 - bucket.tokens) / self._refill_per_s
        bucket.tokens -= 1
        return 0.0

    def _filled(self, key: Hashable, now_s: float) -> _Bucket:
        bucket = self._buckets.setdefault(key, _Bucket(self._capacity, now_s))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        passed_s = max(0.0, now_s - bucket.filled_at_s)
        bucket.tokens = min(self._capacity, bucket.tokens + passed_s * self._refill_per_s)
        bucket.filled_at_s = now_s
        return bucket
