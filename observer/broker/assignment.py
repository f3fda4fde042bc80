"""Who prefers which shard. Pure.

The broker is the fence, not the balancer (docs/facts.md, "Single active consumer"): the first to come would take every
shard. So every process computes the same table from the same list of members, and consumes only what is its own.
"""

from collections.abc import Collection, Mapping


def assign(members: Collection[str], shards: int) -> Mapping[int, str]:
    """shard → member. Even to within one shard; the same on every process that sees the same members."""
    in_order = sorted(members)
    return {shard: in_order[shard % len(in_order)] for shard in range(shards)} if in_order else {}


def living(last_seen_s: Mapping[str, float], now_s: float, expiry_s: float) -> frozenset[str]:
    """Members that were heard of within `expiry_s`."""
    return frozenset(member for member, seen_s in last_seen_s.items() if now_s - seen_s <= expiry_s)
