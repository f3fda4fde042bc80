"""The conversation list, unread counts, read markers, and history with cursors both ways."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.api.cursors import decode_cursor, encode_cursor
from observer.api.problems import Problem
from observer.store.base import UNREAD_LIMIT, Position
from tests.unit.api.world import World

LIST = "/v1/conversations"
WITH_BOB = "/v1/conversations/bob"


async def get(world: World, path: str, **query: Any) -> Any:
    return (await world.call("GET", path, as_user="alice", params=query)).raise_for_status().json()


async def test_the_list_shows_the_newest_conversation_first_page_by_page(world: World) -> None:
    for peer in ("bob", "carol", "dave", "erin", "frank"):
        await world.store_message(peer, "alice", f"from {peer}")
    await world.store_message("alice", "bob", "an answer")
    peers: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = await get(world, LIST, **query)
        peers += [one["peer"] for one in page["conversations"]]
        if page["next"] is None:
            break
        query["before"] = page["next"]
    assert peers == ["bob", "frank", "erin", "dave", "carol"]


async def test_a_conversation_shows_its_last_message_and_what_is_unread(world: World) -> None:
    await world.store_message("bob", "alice", "one")
    last = await world.store_message("bob", "alice", "two")
    one = await get(world, WITH_BOB)
    assert (one["peer"], one["unread"], one["unread_is_capped"], one["read_up_to"]) == ("bob", 2, False, None)
    assert (one["last_message"]["message_id"], one["last_message"]["status"]) == (last.message_id, 150)
    assert one == (await get(world, LIST))["conversations"][0]


async def test_a_dropped_message_leaves_no_trace_at_the_recipient(world: World) -> None:
    await world.store_message("bob", "alice", "unwanted", is_dropped=True)
    assert (await get(world, LIST))["conversations"] == []
    assert (await world.call("GET", WITH_BOB, as_user="alice")).status_code == 404
    assert (await get(world, f"{WITH_BOB}/messages"))["messages"] == []


@pytest.mark.parametrize("by", ["message_id", "up_to"])
async def test_reading_moves_the_marker_forward_only(world: World, by: str) -> None:
    messages = [await world.store_message("bob", "alice", str(number)) for number in range(4)]
    marks = {"message_id": messages[1].message_id, "up_to": messages[1].timestamp_ms}
    read = await world.call("PUT", f"{WITH_BOB}/read", as_user="alice", json={by: marks[by]})
    assert read.json()["unread"] == 2
    earlier = {"message_id": messages[0].message_id, "up_to": messages[0].timestamp_ms}
    again = await world.call("PUT", f"{WITH_BOB}/read", as_user="alice", json={by: earlier[by]})
    assert again.json() == read.json()
    assert (await get(world, WITH_BOB))["unread"] == 2


async def test_a_marker_in_the_future_reads_what_is_there_and_nothing_that_comes(world: World) -> None:
    last = await world.store_message("bob", "alice", "one")
    far = {"up_to": last.timestamp_ms + 86_400_000}
    read = await world.call("PUT", f"{WITH_BOB}/read", as_user="alice", json=far)
    assert read.json()["unread"] == 0
    await world.store_message("bob", "alice", "two")
    assert (await get(world, WITH_BOB))["unread"] == 1


@pytest.mark.parametrize("mark", [{}, {"message_id": "m", "up_to": 1}, {"up_to": -1}, {"up_to": 2**60}, {"at": 1}])
async def test_a_read_marker_that_names_nothing_clear_is_refused(world: World, mark: dict[str, Any]) -> None:
    await world.store_message("bob", "alice", "one")
    answer = await world.call("PUT", f"{WITH_BOB}/read", as_user="alice", json=mark)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_message_of_another_conversation_marks_nothing(world: World) -> None:
    await world.store_message("bob", "alice", "one")
    others = [
        await world.store_message("carol", "alice", "mine, but elsewhere"),
        await world.store_message("carol", "bob", "not mine"),
    ]
    for other in others:
        mark = {"message_id": other.message_id}
        assert (await world.call("PUT", f"{WITH_BOB}/read", as_user="alice", json=mark)).status_code == 404


async def test_unread_stops_at_its_limit_and_says_so(world: World) -> None:
    first = await world.store_message("bob", "alice", "0")
    others = [replace(first, message_id=f"m{number}", offset=number) for number in range(1, UNREAD_LIMIT + 5)]
    await world.store.save(others, [])
    one = await get(world, WITH_BOB)
    assert (one["unread"], one["unread_is_capped"]) == (UNREAD_LIMIT, True)


async def test_history_can_be_walked_to_its_beginning_and_back(world: World) -> None:
    for number in range(7):
        await world.store_message(*(("alice", "bob") if number % 2 else ("bob", "alice")), str(number))
    await world.store_message("carol", "alice", "elsewhere")
    path = f"{WITH_BOB}/messages"
    page = await get(world, path, limit=3)
    newest = page
    texts = [one["text"] for one in page["messages"]]
    while page["previous"] is not None:
        page = await get(world, path, limit=3, before=page["previous"])
        texts = [one["text"] for one in page["messages"]] + texts
    assert texts == list("0123456")
    while page["has_more"] or page["next"] != newest["next"]:
        page = await get(world, path, limit=3, after=page["next"])
        texts += [one["text"] for one in page["messages"]]
    assert texts == list("0123456") + list("123456")
    back = await get(world, path, limit=3, before=page["previous"])
    assert [one["text"] for one in back["messages"]] == list("123"), "from the last page one can turn back"


async def test_the_end_of_history_waits_for_what_is_to_come(world: World) -> None:
    path = f"{WITH_BOB}/messages"
    await world.store_message("bob", "alice", "one")
    end = (await get(world, path))["next"]
    empty = await get(world, path, after=end)
    assert (empty["messages"], empty["next"], empty["has_more"]) == ([], end, False)
    await world.store_message("alice", "bob", "two")
    assert [one["text"] for one in (await get(world, path, after=end))["messages"]] == ["two"]


async def test_a_conversation_that_is_not_there_has_no_history(world: World) -> None:
    page = await get(world, f"{WITH_BOB}/messages")
    assert page == {"messages": [], "previous": None, "next": None, "has_more": False}


@pytest.mark.parametrize(
    "path", [f"{LIST}?before=x!", f"{WITH_BOB}/messages?before=x", f"{WITH_BOB}/messages?after=e30"]
)
async def test_a_cursor_that_is_not_ours_is_refused(world: World, path: str) -> None:
    answer = await world.call("GET", path, as_user="alice")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


async def test_both_directions_at_once_are_refused(world: World) -> None:
    cursor = encode_cursor(Position(1, "m"))
    answer = await world.call("GET", f"{WITH_BOB}/messages?before={cursor}&after={cursor}", as_user="alice")
    assert answer.status_code == 422


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
@pytest.mark.parametrize("path", [LIST, f"{WITH_BOB}/messages", "/v1/sync", "/v1/blocks", "/v1/contacts"])
async def test_a_page_has_1_to_200_entries(world: World, path: str, limit: str) -> None:
    answer = await world.call("GET", path, as_user="alice", params={"limit": limit})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@given(st.integers(0, 2**53), st.text(st.characters(codec="utf-8")))
def test_a_cursor_holds_its_position(timestamp_ms: int, message_id: str) -> None:
    position = Position(timestamp_ms, message_id)
    assert decode_cursor(encode_cursor(position)) == position


@given(st.text() | st.text("AZaz09-_="))
def test_no_word_makes_the_cursor_reader_fail(word: str) -> None:
    with pytest.raises(Problem, match="cursor"):
        decode_cursor(word)


@pytest.mark.parametrize("position", [Position(-1, "m"), Position(2**63, "m")])
def test_a_forged_cursor_that_would_overflow_a_store_is_refused(position: Position) -> None:
    with pytest.raises(Problem, match="cursor"):
        decode_cursor(encode_cursor(position))
