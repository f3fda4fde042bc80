"""A page ends at a number of bytes too, and the rest comes with the next one: nothing is left out."""

from typing import Any

import pytest

from observer.api.pages import MAX_PAGE_BYTES
from tests.unit.api.test_sync import everything
from tests.unit.api.world import World

COUNT = 30
FILLER = "x" * 60_000


@pytest.fixture
async def long_texts(world: World) -> list[str]:
    """Thirty long messages from bob to alice, oldest first; nine of them are more than a page."""
    texts = [f"{number:02} {FILLER}" for number in range(COUNT)]
    for text in texts:
        await world.store_message("bob", "alice", text)
    return texts


async def pages(world: World, path: str, cursor: str, following: str, **query: Any) -> list[list[str]]:
    """The texts of all pages, each as it came; the cursor `following` of an answer is `cursor` of the next call."""
    found: list[list[str]] = []
    while True:
        answer = await world.call("GET", path, as_user="alice", params={"limit": 200, **query})
        assert len(answer.content) < MAX_PAGE_BYTES + 100_000
        found.append([message["text"] for message in answer.json()["messages"]])
        if not answer.json()["has_more"]:
            return found
        query = {cursor: answer.json()[following]}


async def test_sync_brings_long_messages_in_several_answers(world: World, long_texts: list[str]) -> None:
    texts, _ = await everything(world, "alice", limit=200)
    assert texts == long_texts
    assert len(await pages(world, "/v1/sync", "since", "next")) > 1


async def test_history_brings_long_messages_in_several_answers_both_ways(world: World, long_texts: list[str]) -> None:
    path = "/v1/conversations/bob/messages"
    back = await pages(world, path, "before", "previous")
    assert [text for page in reversed(back) for text in page] == long_texts
    assert len(back) > 1
    oldest = (await world.call("GET", path, as_user="alice", params={"before": await _second(world, path)})).json()
    forth = await pages(world, path, "after", "next", after=oldest["next"])
    assert [text for page in forth for text in page] == long_texts[1:]


async def _second(world: World, path: str) -> str:
    """A cursor at the second message of the conversation."""
    query: dict[str, Any] = {"limit": 1}
    before = ""
    while True:
        answer = (await world.call("GET", path, as_user="alice", params=query)).json()
        if not answer["has_more"]:
            return before
        before = answer["previous"]
        query = {"limit": 1, "before": before}


async def test_the_conversation_list_brings_long_last_messages_in_several_answers(world: World) -> None:
    peers = [f"user-{number:02}" for number in range(COUNT)]
    for peer in peers:
        await world.store_message(peer, "alice", FILLER)
    found: list[str] = []
    before: dict[str, str] = {}
    calls = 0
    while True:
        answer = await world.call("GET", "/v1/conversations", as_user="alice", params={"limit": "200", **before})
        assert len(answer.content) < MAX_PAGE_BYTES + 100_000
        calls += 1
        found += [one["peer"] for one in answer.json()["conversations"]]
        if answer.json()["next"] is None:
            break
        before = {"before": answer.json()["next"]}
    assert found == peers[::-1]
    assert calls > 1


async def test_a_message_larger_than_a_page_is_a_page(world: World) -> None:
    for number in range(2):
        await world.store_message("bob", "alice", f"{number} {'x' * (MAX_PAGE_BYTES + 1)}")
    texts, _ = await everything(world, "alice", limit=200)
    assert [text[0] for text in texts] == ["0", "1"]
