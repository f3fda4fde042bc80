"""Token buckets for the HTTP API: how often one caller, and one client address, may come."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

MAX_KEYS = 10_000
"""Buckets kept. The one unused for longest goes first: it is the fullest, so forgetting it gives little away."""
ADDRESS_FACTOR = 10
"""An address may come this many times as often as one caller: many users may stand behind one gateway."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at_ms: int


class TokenBuckets:
    """One bucket a key, of bounded number."""

    def __init__(self, *, capacity: int, refill_per_s: float, max_keys: int = MAX_KEYS) -> None:
        self._capacity = capacity
        self._refill_per_s = refill_per_s
        self._max_keys = max_keys
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Hashable, now_ms: int) -> float:
        """Take one token of `key`: 0.0 if there was one, else the seconds until there is."""
        bucket = self._buckets.setdefault(key, _Bucket(self._capacity, now_ms))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        self._fill(bucket, now_ms)
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / self._refill_per_s
        bucket.tokens -= 1
        return 0.0

    def _fill(self, bucket: _Bucket, now_ms: int) -> None:
        # A clock that was set back must not take tokens away.
        elapsed_ms = max(0, now_ms - bucket.filled_at_ms)
        bucket.tokens = min(self._capacity, bucket.tokens + elapsed_ms / 1000 * self._refill_per_s)
        bucket.filled_at_ms = now_ms


def address_key(host: str) -> str:
    """What counts as one client address: an IPv4 address, or the /64 that one IPv6 customer is given."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return f"{int(address) >> 64:x}::/64"
    return host
