"""Token buckets: the burst, the long run, and a bound on memory."""

from hypothesis import given, settings
from hypothesis import strategies as st

from observer.token_buckets import TokenBuckets


def buckets(capacity: int, refill_per_s: float, max_keys: int = 100) -> TokenBuckets:
    return TokenBuckets(capacity=capacity, refill_per_s=refill_per_s, max_keys=max_keys)


def test_a_bucket_lets_its_capacity_through_and_then_tells_how_long_to_wait() -> None:
    found = buckets(3, 2.0)
    assert [found.take("a", 10.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 0.5]
    assert found.take("b", 10.0) == 0.0, "everybody has one of his own"


def test_the_next_token_comes_when_it_was_promised() -> None:
    found = buckets(1, 0.3)
    assert found.take("a", 100.0) == 0.0
    wait_s = found.take("a", 101.0)
    assert found.take("a", 101.0 + wait_s - 0.01) > 0
    assert found.take("a", 101.0 + wait_s) == 0.0


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    found = buckets(2, 1.0)
    assert found.take("a", 1000.0) == 0.0
    assert found.take("a", 50.0) == 0.0, "the second token is still there"
    assert found.take("a", 50.5) == 0.5
    assert found.take("a", 51.0) == 0.0, "refilling goes on from where the clock is now"


def test_the_bucket_unused_for_longest_is_forgotten_first() -> None:
    found = buckets(1, 0.001, max_keys=2)
    for key in ("a", "b", "a", "c"):
        found.take(key, 0.0)
    assert found.take("a", 0.0) > 0, "still known"
    assert found.take("b", 0.0) == 0.0, "forgotten"


@given(st.lists(st.integers(0, 500)), st.integers(1, 5))
def test_the_number_of_buckets_is_bounded(keys: list[int], most: int) -> None:
    found = buckets(1, 1.0, max_keys=most)
    for key in keys:
        found.take(key, 0.0)
    assert len(found) <= most


steps = st.lists(st.floats(0, 5, allow_nan=False) | st.just(0.0), min_size=1, max_size=60)


@settings(max_examples=200)
@given(capacity=st.integers(1, 8), refill_per_s=st.floats(0.01, 50), waits_s=steps)
def test_in_no_window_do_more_pass_than_capacity_and_refill(
    capacity: int, refill_per_s: float, waits_s: list[float]
) -> None:
    found = buckets(capacity, refill_per_s)
    now_s, passed_at_s = 1000.0, []
    for wait_s in waits_s:
        now_s += wait_s
        if found.take("a", now_s) == 0.0:
            passed_at_s.append(now_s)
    for first, start_s in enumerate(passed_at_s):
        for last in range(first, len(passed_at_s)):
            window_s = passed_at_s[last] - start_s
            assert last - first + 1 <= capacity + refill_per_s * window_s + 1e-6


@given(refill_per_s=st.floats(0.01, 50), count=st.integers(1, 30))
def test_whoever_keeps_to_the_rate_never_waits(refill_per_s: float, count: int) -> None:
    found = buckets(1, refill_per_s)
    assert all(found.take("a", 1000.0 + number * (1 / refill_per_s + 1e-6)) == 0.0 for number in range(count))
