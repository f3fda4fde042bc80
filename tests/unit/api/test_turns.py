"""A few reads and a few sends are worked on at once, apart; probes and settings never stand behind them."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from observer.api import turns
from observer.api.turns import READS_AT_ONCE, SENDS_AT_ONCE, Turns
from observer.store.base import Page
from observer.store.sqlite import SqliteStore
from tests.unit.api.test_problems import check_problem
from tests.unit.api.world import ADMIN_KEY, World

SENT = {"recipient": "bob", "text": "hi"}


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
    assert (await world.call("POST", "/v1/messages", as_user="alice", json=SENT)).status_code == 202
    assert (await world.call("GET", "/livez")).status_code == 200
    assert (await world.call("GET", "/metrics", key=ADMIN_KEY)).status_code == 200
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


async def test_who_does_not_read_his_answer_keeps_nobody_waiting() -> None:
    """What does not fit into the buffers on the way is sent at the reader's pace, which may be none."""
    page = Turns(PlainTextResponse("a page"))
    scope = {"type": "http", "method": "GET", "path": "/docs"}
    told: list[Message] = []
    nobody_reads = asyncio.Semaphore(0)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def never_read(_: Message) -> None:
        nobody_reads.release()
        await asyncio.Event().wait()

    async def read(message: Message) -> None:
        told.append(message)

    lazy = [asyncio.create_task(page(scope, receive, never_read)) for _ in range(READS_AT_ONCE)]
    for _ in lazy:
        await nobody_reads.acquire()
    async with asyncio.timeout(5):
        await page(scope, receive, read)
    assert [message.get("status") for message in told] == [200, None]
    for reader in lazy:
        reader.cancel()


async def test_senders_who_wait_for_the_broker_keep_nobody_waiting_but_further_senders(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.broker.is_silent = True
    senders = [asyncio.create_task(sending(world)) for _ in range(SENDS_AT_ONCE)]
    async with asyncio.timeout(10):
        while world.broker.asked < SENDS_AT_ONCE:  # noqa: ASYNC110  the broker of these tests sets no event
            await asyncio.sleep(0)
    monkeypatch.setattr(turns, "WAIT_S", 0.01)
    async with asyncio.timeout(10):
        check_problem(await sending(world), 503, "busy")
        assert (await world.call("GET", "/v1/sync", as_user="alice")).status_code == 200
        assert (await world.call("PUT", "/v1/blocks/eve", as_user="alice")).is_success
    for sender in senders:
        sender.cancel()


async def sending(world: World) -> httpx.Response:
    return await world.call("POST", "/v1/messages", as_user="alice", json=SENT)
