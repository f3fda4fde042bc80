"""The token buckets: never more than was promised, each message charged once, memory bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.pipeline.rates import RateLedger


class Sender:
    """Sends numbered messages of one user at given moments."""

    def __init__(self, ledger: RateLedger, user: str = "alice") -> None:
        self.ledger = ledger
        self.user = user
        self.sent = 0

    def send(self, now_s: float) -> bool:
        self.sent += 1
        return self.ledger.charge("demo", self.user, f"{self.user}-{self.sent}", now_s).is_allowed


def test_a_fresh_sender_may_send_his_whole_capacity_at_once_and_no_more() -> None:
    alice = Sender(RateLedger(3, 1.0))
    assert [alice.send(10.0) for _ in range(5)] == [True, True, True, False, False]


def test_a_refused_sender_is_told_when_the_next_token_comes_and_it_comes_then() -> None:
    ledger = RateLedger(1, 0.3)
    assert ledger.charge("demo", "alice", "1", 100.0).is_allowed
    refused = ledger.charge("demo", "alice", "2", 101.0)
    assert not refused.is_allowed
    assert not ledger.charge("demo", "alice", "2", 101.0 + refused.retry_after_s - 0.01).is_allowed
    assert ledger.charge("demo", "alice", "2", 101.0 + refused.retry_after_s).is_allowed


def test_a_redelivered_message_is_not_charged_again_even_with_an_empty_bucket() -> None:
    ledger = RateLedger(1, 0.001)
    assert ledger.charge("demo", "alice", "1", 0.0).is_allowed
    assert ledger.charge("demo", "alice", "1", 0.0).is_allowed
    assert not ledger.charge("demo", "alice", "2", 0.0).is_allowed
    assert ledger.charge("demo", "alice", "1", 0.0).is_allowed


def test_senders_and_apps_have_buckets_of_their_own() -> None:
    ledger = RateLedger(1, 0.001)
    assert ledger.charge("demo", "alice", "1", 0.0).is_allowed
    assert ledger.charge("demo", "bob", "2", 0.0).is_allowed
    assert ledger.charge("other", "alice", "3", 0.0).is_allowed
    assert not ledger.charge("demo", "alice", "4", 0.0).is_allowed


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    alice = Sender(RateLedger(2, 1.0))
    assert alice.send(1000.0)
    assert alice.send(50.0), "the second token is still there"
    assert not alice.send(50.0)
    assert not alice.send(50.5)
    assert alice.send(51.0), "refilling goes on from where the clock is now"


def test_of_too_many_senders_the_one_charged_longest_ago_is_forgotten() -> None:
    ledger = RateLedger(1, 0.001, max_users=2)
    alice, bob, carol = Sender(ledger, "alice"), Sender(ledger, "bob"), Sender(ledger, "carol")
    assert alice.send(0.0)
    assert bob.send(0.0)
    assert not alice.send(0.0)
    assert carol.send(0.0), "a new sender is let in"
    assert not alice.send(0.0), "alice was charged after bob, so bob was forgotten"
    assert bob.send(0.0)


def test_of_too_many_messages_the_oldest_is_forgotten_and_charged_again() -> None:
    ledger = RateLedger(3, 0.001, remembered_ids=2)
    assert [ledger.charge("demo", "alice", name, 0.0).is_allowed for name in ("1", "2", "3")] == [True] * 3
    assert ledger.charge("demo", "alice", "3", 0.0).is_allowed
    assert not ledger.charge("demo", "alice", "1", 0.0).is_allowed


steps = st.lists(st.floats(0, 5, allow_nan=False) | st.just(0.0), min_size=1, max_size=60)


@settings(max_examples=200)
@given(capacity=st.integers(1, 8), refill_per_s=st.floats(0.01, 50), waits_s=steps)
def test_in_no_window_are_more_allowed_than_capacity_and_refill(
    capacity: int, refill_per_s: float, waits_s: list[float]
) -> None:
    alice = Sender(RateLedger(capacity, refill_per_s))
    now_s, allowed_at_s = 1000.0, []
    for wait_s in waits_s:
        now_s += wait_s
        if alice.send(now_s):
            allowed_at_s.append(now_s)
    for first, start_s in enumerate(allowed_at_s):
        for last in range(first, len(allowed_at_s)):
            window_s = allowed_at_s[last] - start_s
            assert last - first + 1 <= capacity + refill_per_s * window_s + 1e-6


@given(refill_per_s=st.floats(0.01, 50), count=st.integers(1, 30))
def test_a_sender_within_his_rate_is_never_refused(refill_per_s: float, count: int) -> None:
    alice = Sender(RateLedger(1, refill_per_s))
    assert all(alice.send(1000.0 + number * (1 / refill_per_s + 1e-6)) for number in range(count))


@given(repeats=st.lists(st.sampled_from(["1", "2", "3", "4"]), max_size=40))
def test_how_often_messages_come_again_changes_nothing(repeats: list[str]) -> None:
    ledger = RateLedger(2, 0.001)
    allowed = {name for name in repeats if ledger.charge("demo", "alice", name, 0.0).is_allowed}
    assert allowed == set(list(dict.fromkeys(repeats))[:2])


@pytest.mark.parametrize("users", [1, 5])
def test_memory_stays_within_its_bounds(users: int) -> None:
    ledger = RateLedger(1000, 1.0, max_users=users, remembered_ids=7)
    for number in range(100):
        ledger.charge("demo", f"user-{number}", f"m-{number}", float(number))
    assert len(ledger._buckets) == users
    assert len(ledger._allowed_ids) == 7
