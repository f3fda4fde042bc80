"""Which publications of a batch the broker has answered for."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.broker.publishing_line import Confirms


def confirms(count: int, first: int = 1) -> tuple[Confirms, "asyncio.Future[None]"]:
    done: asyncio.Future[None] = asyncio.Future(loop=asyncio.new_event_loop())
    done.get_loop().close()
    return Confirms(first, count, done), done


@given(st.permutations(range(5)))
def test_it_is_done_when_each_was_answered_in_any_order(order: list[int]) -> None:
    waiting, done = confirms(5, first=11)
    for index in order:
        assert not done.done()
        waiting.note(11 + index, multiple=False, is_ack=True)

    assert done.done()
    assert waiting.refused == []


def test_a_multiple_answers_for_all_before_it() -> None:
    waiting, done = confirms(4)
    waiting.note(2, multiple=False, is_ack=False)
    waiting.note(3, multiple=True, is_ack=True)
    assert not done.done()
    waiting.note(4, multiple=True, is_ack=False)

    assert done.done()
    assert waiting.refused == [1, 3]


@pytest.mark.parametrize("tag", [0, 6, 99])
def test_an_answer_for_another_batch_changes_nothing(tag: int) -> None:
    waiting, done = confirms(3, first=1)
    waiting.note(tag, multiple=False, is_ack=True)
    assert not done.done()


def test_an_answer_that_comes_twice_counts_once() -> None:
    waiting, done = confirms(2)
    waiting.note(1, multiple=False, is_ack=True)
    waiting.note(1, multiple=True, is_ack=True)
    assert not done.done()
