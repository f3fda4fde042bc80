"""Token buckets: the burst, the long run, and a bound on memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.api.limits import TokenBuckets, address_key


def test_a_bucket_lets_its_capacity_through_and_then_tells_how_long_to_wait() -> None:
    buckets = TokenBuckets(capacity=3, refill_per_s=2.0)
    assert [buckets.take("a", 0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("b", 0) == 0.0
    assert buckets.take("a", 499) > 0
    assert buckets.take("a", 500) == 0.0


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    buckets = TokenBuckets(capacity=2, refill_per_s=1.0)
    assert buckets.take("a", 100_000) == 0.0
    assert buckets.take("a", 0) == 0.0
    assert buckets.take("a", 1_000) == 0.0


def test_the_bucket_unused_for_longest_is_forgotten_first() -> None:
    buckets = TokenBuckets(capacity=1, refill_per_s=0.001, max_keys=2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 0)
    assert buckets.take("a", 0) > 0, "still known"
    assert buckets.take("b", 0) == 0.0, "forgotten"


@given(st.lists(st.integers(0, 500)), st.integers(1, 5))
def test_the_number_of_buckets_is_bounded(keys: list[int], most: int) -> None:
    buckets = TokenBuckets(capacity=1, refill_per_s=1.0, max_keys=most)
    for key in keys:
        buckets.take(key, 0)
    assert len(buckets) <= most


@given(st.lists(st.integers(0, 3_000), max_size=200), st.integers(1, 10), st.floats(0.1, 50))
def test_no_more_pass_than_capacity_and_refill_allow(gaps_ms: list[int], capacity: int, refill_per_s: float) -> None:
    buckets = TokenBuckets(capacity=capacity, refill_per_s=refill_per_s)
    now_ms, passed = 0, 0
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        passed += buckets.take("a", now_ms) == 0.0
    assert passed <= capacity + now_ms / 1000 * refill_per_s + 1e-6


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", "testclient", False),
    ],
)
def test_one_ipv6_customer_is_one_address(one: str, other: str, are_same: bool) -> None:
    assert (address_key(one) == address_key(other)) is are_same
