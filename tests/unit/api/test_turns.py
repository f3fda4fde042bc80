"""A few reads are worked on at once: messages, probes and what writes never stand behind them."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from observer.api import turns
from observer.api.turns import READS_AT_ONCE
from observer.store.base import Page
from observer.store.sqlite import SqliteStore
from tests.unit.api.test_problems import check_problem
from tests.unit.api.world import World


class SlowStore:
    """Timelines that take until they are let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_busy = asyncio.Event()
        self.is_let_go = asyncio.Event()

    async def timeline(self, *_: object) -> Page:
        self.asked += 1
        if self.asked == READS_AT_ONCE:
            self.is_busy.set()
        await self.is_let_go.wait()
        return Page((), False)


@pytest.fixture
async def slow(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlowStore]:
    slow = SlowStore()
    monkeypatch.setattr(store, "timeline", slow.timeline)
    yield slow
    slow.is_let_go.set()


async def reading(world: World, slow: SlowStore, count: int) -> list[asyncio.Task[httpx.Response]]:
    """So many readers, as many of them as may be at the store already."""
    readers = [asyncio.create_task(world.call("GET", "/v1/sync", as_user="alice")) for _ in range(count)]
    await slow.is_busy.wait()
    return readers


async def test_reads_beyond_a_few_wait_and_what_is_not_a_read_does_not(world: World, slow: SlowStore) -> None:
    readers = await reading(world, slow, READS_AT_ONCE + 3)
    sent = {"recipient": "bob", "text": "hi"}
    assert (await world.call("POST", "/v1/messages", as_user="alice", json=sent)).status_code == 202
    assert (await world.call("GET", "/livez")).status_code == 200
    assert (await world.call("PUT", "/v1/blocks/eve", as_user="alice")).is_success
    assert slow.asked == READS_AT_ONCE
    slow.is_let_go.set()
    assert {answer.status_code for answer in await asyncio.gather(*readers)} == {200}
    assert slow.asked == READS_AT_ONCE + 3


async def test_a_reader_who_waited_long_is_told_to_come_later(
    world: World, slow: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reading(world, slow, READS_AT_ONCE)
    monkeypatch.setattr(turns, "WAIT_S", 0.01)
    async with asyncio.timeout(10):
        answer = await world.call("GET", "/v1/sync", as_user="alice")
    check_problem(answer, 503, "busy")
    assert answer.headers["Retry-After"]


async def test_a_reader_who_goes_away_gives_his_turn_back(world: World, slow: SlowStore) -> None:
    for reader in await reading(world, slow, READS_AT_ONCE):
        reader.cancel()
    slow.is_let_go.set()
    async with asyncio.timeout(5):
        assert (await world.call("GET", "/v1/sync", as_user="alice")).status_code == 200
