"""Offsets and timestamps of one shard."""

from hypothesis import given
from hypothesis import strategies as st

from observer.pipeline.numbering import Numbering
from observer.store.base import ShardPosition

PAIRS = [("demo", "a", "b"), ("demo", "a", "c"), ("demo", "b", "c")]


@given(st.lists(st.tuples(st.integers(0, 50), st.lists(st.sampled_from(PAIRS), max_size=5)), max_size=20))
def test_offsets_have_no_gap_and_time_goes_forward_and_grows_within_a_pair(
    batches: list[tuple[int, list[tuple[str, str, str]]]],
) -> None:
    """Whatever the clock does, also backwards."""
    numbering = Numbering.after(ShardPosition(5, 20))
    given_out: list[tuple[tuple[str, str, str], int, int]] = []
    for now_ms, pairs in batches:
        numbering = numbering.copy()
        numbering.begin_batch(now_ms)
        given_out += [(pair, *numbering.take(pair)) for pair in pairs]

    assert [offset for _, offset, _ in given_out] == list(range(5, 5 + len(given_out)))
    times = [timestamp for _, _, timestamp in given_out]
    assert times == sorted(times)
    assert all(timestamp > 20 for timestamp in times)
    for pair in PAIRS:
        own = [timestamp for one, _, timestamp in given_out if one == pair]
        assert len(own) == len(set(own))


def test_a_batch_that_fails_leaves_no_trace() -> None:
    numbering = Numbering.after(ShardPosition(0, 0))
    draft = numbering.copy()
    draft.begin_batch(100)
    draft.take(PAIRS[0])

    assert (numbering.next_offset, numbering.timestamp_ms, numbering.last_of_pair) == (0, 1, {})


def test_pairs_that_time_has_passed_are_forgotten() -> None:
    """Memory is bounded by what came within the last milliseconds."""
    numbering = Numbering.after(ShardPosition(0, 0))
    numbering.begin_batch(100)
    for pair in PAIRS:
        numbering.take(pair)
    numbering.begin_batch(101)

    assert numbering.last_of_pair == {}


def test_when_the_last_writer_stopped_stays_known() -> None:
    """What he stored last is what the broker may deliver again."""
    numbering = Numbering.after(ShardPosition(5, 20)).copy()
    numbering.begin_batch(1_000)
    numbering.take(PAIRS[0])
    assert numbering.copy().resumed_ms == 20


def test_what_a_half_done_try_stored_is_passed_by_and_time_goes_on_behind_it() -> None:
    """Two of a batch's messages are stored already; the third gets the next offset, and a later time."""
    numbering = Numbering.after(ShardPosition(5, 20))
    numbering.begin_batch(30)
    numbering.pass_by(5, 90)
    numbering.pass_by(6, 95)
    assert numbering.take(PAIRS[0]) == (7, 96)


def test_a_known_message_further_on_is_another_writers_and_is_not_passed_by() -> None:
    """The next message then meets an offset that is taken, and we stop: that is the fence."""
    numbering = Numbering.after(ShardPosition(5, 20))
    numbering.begin_batch(30)
    for offset in (3, 6, 9):
        numbering.pass_by(offset, 90)
    assert numbering.take(PAIRS[0]) == (5, 30)
