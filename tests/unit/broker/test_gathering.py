"""Callers that publish at the same moment share one batch."""

import asyncio
from collections.abc import Sequence

import pytest

from observer.broker.gathering import GatheringPublisher
from observer.errors import BrokerUnavailable, ConfigError
from observer.message import Publication


class Below:
    """The publisher below: answers when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.error: Exception | None = None
        self.is_cut_off = False

    async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
        self.batches.append([one.routing_key for one in publications])
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.is_cut_off = True
            raise
        if self.error is not None:
            raise self.error
        return [index for index, one in enumerate(publications) if one.routing_key.startswith("bad")]


async def started(publisher: GatheringPublisher, *keys: str) -> asyncio.Task[Sequence[int]]:
    """A caller that waits for these to be published."""
    task = asyncio.create_task(publisher.publish([Publication(key, b"") for key in keys]))
    for _ in range(2):  # the caller up to its wait, and the sender up to its own
        await asyncio.sleep(0)
    return task


async def test_what_comes_while_a_batch_is_on_its_way_is_the_next_batch() -> None:
    below = Below()
    publisher = GatheringPublisher(below)
    callers = [await started(publisher, *keys) for keys in (["a"], ["b", "bad c"], ["bad d"], ["e"])]
    assert below.batches == [["a"]]
    below.may_answer.set()

    assert await asyncio.gather(*callers) == [[], [1], [0], []], "each hears of his own"
    assert below.batches == [["a"], ["b", "bad c", "bad d", "e"]]


async def test_a_caller_that_gives_up_disturbs_nobody() -> None:
    below = Below()
    publisher = GatheringPublisher(below)
    first, impatient, patient = [await started(publisher, key) for key in ("a", "b", "bad c")]
    impatient.cancel()
    first.cancel()
    below.may_answer.set()

    assert await patient == [0]
    assert below.batches == [["a"], ["b", "bad c"]]


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), ConfigError("no such certificate")], ids=repr)
async def test_what_goes_wrong_is_told_to_all_and_the_next_try_is_a_new_one(error: Exception) -> None:
    below = Below()
    publisher = GatheringPublisher(below)
    below.error = error
    below.may_answer.set()
    results = await asyncio.gather(
        *(publisher.publish([Publication(key, b"")]) for key in "ab"), return_exceptions=True
    )
    assert results == [error] * 2

    below.error = None
    assert await publisher.publish([Publication("c", b"")]) == []


async def test_closing_gives_up_what_is_on_its_way() -> None:
    below = Below()
    publisher = GatheringPublisher(below)
    caller = await started(publisher, "a")
    await publisher.close()
    assert below.is_cut_off
    assert not caller.done()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
