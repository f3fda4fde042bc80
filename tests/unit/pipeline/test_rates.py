"""The rate ledger: each message charged to its own sender, once."""

from hypothesis import given
from hypothesis import strategies as st

from observer.pipeline.rates import RateLedger


def test_a_refused_sender_is_told_when_the_next_token_comes_and_it_comes_then() -> None:
    ledger = RateLedger(1, 0.5)
    assert ledger.charge("demo", "alice", "1", 100.0).is_allowed
    refused = ledger.charge("demo", "alice", "2", 101.0)
    assert (refused.is_allowed, refused.retry_after_s) == (False, 1.0)
    assert ledger.charge("demo", "alice", "2", 102.0).is_allowed


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


def test_of_too_many_messages_the_oldest_is_forgotten_and_charged_again() -> None:
    ledger = RateLedger(3, 0.001, remembered_ids=2)
    assert [ledger.charge("demo", "alice", name, 0.0).is_allowed for name in ("1", "2", "3")] == [True] * 3
    assert ledger.charge("demo", "alice", "3", 0.0).is_allowed
    assert not ledger.charge("demo", "alice", "1", 0.0).is_allowed


@given(repeats=st.lists(st.sampled_from(["1", "2", "3", "4"]), max_size=40))
def test_how_often_messages_come_again_changes_nothing(repeats: list[str]) -> None:
    ledger = RateLedger(2, 0.001)
    allowed = {name for name in repeats if ledger.charge("demo", "alice", name, 0.0).is_allowed}
    assert allowed == set(list(dict.fromkeys(repeats))[:2])


def test_memory_stays_within_its_bound() -> None:
    ledger = RateLedger(1000, 1.0, remembered_ids=7)
    for number in range(100):
        ledger.charge("demo", "alice", f"m-{number}", float(number))
    assert len(ledger._allowed_ids) == 7
