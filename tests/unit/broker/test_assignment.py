"""Who prefers which shard."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from observer.broker.assignment import assign, living

MEMBERS = st.sets(st.text("0123456789abcdef", min_size=4, max_size=16), min_size=1, max_size=9)


@given(MEMBERS, st.integers(1, 64))
def test_every_shard_has_one_owner_and_the_shares_are_even(members: set[str], shards: int) -> None:
    shares = assign(members, shards)
    sizes = Counter(shares.values())

    assert sorted(shares) == list(range(shards))
    assert max(sizes[one] for one in members) - min(sizes[one] for one in members) <= 1


@given(MEMBERS, st.integers(1, 64))
def test_all_processes_compute_the_same_table(members: set[str], shards: int) -> None:
    assert assign(members, shards) == assign(sorted(members, reverse=True), shards)


def test_nobody_owns_anything_where_nobody_lives() -> None:
    assert assign([], 4) == {}


def test_a_member_that_was_not_heard_of_for_too_long_is_dead() -> None:
    assert living({"fresh": 9.0, "limit": 6.5, "late": 6.4}, 10.0, 3.5) == {"fresh", "limit"}
