"""What is counted of a step: nothing that went wrong may look right."""

import pytest

from observer.bench.tally import Step, Tally

START_S = 100.0


def tally(count: int = 4, *, streams: int = 1, publish_qos: int = 1) -> Tally:
    step = Step(run="run", first=0, rate=10.0, count=count, streams=streams, start_s=START_S)
    return Tally(step, publish_qos=publish_qos)


def pass_through(counted: Tally, number: int, *, at_s: float = START_S + 1, message_id: str = "") -> None:
    counted.sent(number, at_s)
    counted.acknowledged(number, at_s)
    counted.delivered(number, message_id or f"id-{number}", at_s)
    counted.own_copy(number, message_id or f"id-{number}", at_s)


def test_a_message_is_complete_when_acknowledged_delivered_and_shown_to_its_sender() -> None:
    counted = tally(2)
    pass_through(counted, 0)
    assert not counted.is_complete()
    pass_through(counted, 1)
    assert counted.is_complete()
    counts = counted.counts()
    assert (counts.sent, counts.acknowledged, counts.delivered, counts.own_copies) == (2, 2, 2, 2)
    assert (counts.lost, counts.own_copies_lost, counts.repeated, counts.duplicates, counts.out_of_order) == (0,) * 5


def test_an_acknowledged_message_that_never_arrives_is_lost() -> None:
    counted = tally(2)
    pass_through(counted, 0)
    counted.sent(1, START_S)
    counted.acknowledged(1, START_S)
    assert not counted.is_complete()
    assert (counted.counts().lost, counted.counts().own_copies_lost) == (1, 1)


def test_a_message_that_was_never_acknowledged_is_not_lost() -> None:
    counted = tally(1)
    counted.sent(0, START_S)
    assert counted.counts().lost == 0


def test_with_qos_0_every_sent_message_counts_as_handed_over() -> None:
    counted = tally(1, publish_qos=0)
    counted.sent(0, START_S)
    assert counted.counts().lost == 1


def test_a_refused_message_is_not_lost_and_nothing_more_is_expected_of_it() -> None:
    counted = tally(1)
    counted.sent(0, START_S)
    counted.acknowledged(0, START_S)
    counted.refused(0, "rate_limited", START_S)
    assert counted.is_complete()
    assert counted.counts().lost == 0
    assert counted.counts().refused == {"rate_limited": 1}


def test_the_same_message_id_again_is_a_repeat_and_another_one_a_duplicate() -> None:
    counted = tally(1)
    pass_through(counted, 0)
    counted.delivered(0, "id-0", START_S + 2)
    counted.delivered(0, "other", START_S + 2)
    counts = counted.counts()
    assert (counts.delivered, counts.repeated, counts.duplicates) == (1, 1, 1)


def test_order_is_judged_within_a_stream_only() -> None:
    counted = tally(4, streams=2)
    for number in (1, 0, 2, 3):
        pass_through(counted, number)
    assert counted.counts().out_of_order == 0
    counted = tally(4, streams=2)
    for number in (2, 0, 1, 3):
        pass_through(counted, number)
    assert counted.counts().out_of_order == 1


def test_latency_counts_from_the_planned_time_not_from_the_sending() -> None:
    counted = tally(2)
    counted.sent(1, START_S + 5)
    counted.acknowledged(1, START_S + 5.5)
    counted.delivered(1, "id", START_S + 6)
    assert list(counted.lateness_s()) == [pytest.approx(4.9)]
    assert list(counted.acknowledgement_s()) == [pytest.approx(5.4)]
    assert list(counted.delivery_s()) == [pytest.approx(5.9)]


def test_what_arrives_behind_the_schedule_was_not_in_time() -> None:
    counted = tally(2)
    pass_through(counted, 0, at_s=START_S + 0.1)
    pass_through(counted, 1, at_s=START_S + 0.3)
    assert counted.counts().delivered_in_time == 1


def test_two_acknowledgements_of_one_message_count_once() -> None:
    counted = tally(1)
    counted.acknowledged(0, START_S + 1)
    counted.acknowledged(0, START_S + 2)
    assert counted.counts().acknowledged == 1
