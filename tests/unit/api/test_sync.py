"""One call after any absence returns everything missed, or says plainly that the reader must start over."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observer.api.sync_tokens import Seen, UnusableToken, Witness, decode_sync_token, encode_sync_token
from observer.tokens.keys import KeyStore
from tests.unit.api.world import APP, World, build_world, new_store

SENDERS = ("bob", "zoe", "carol")
"""Their messages to alice are in different shards."""


async def everything(world: World, user: str, since: str | None = None, limit: int = 3) -> tuple[list[str], str]:
    """All texts that sync gives, page by page, and the last token."""
    texts: list[str] = []
    while True:
        query: dict[str, Any] = {"limit": limit} | ({"since": since} if since else {})
        answer = (await world.call("GET", "/v1/sync", as_user=user, params=query)).raise_for_status().json()
        texts += [message["text"] for message in answer["messages"]]
        since = str(answer["next"])
        if not answer["has_more"]:
            return texts, since


async def test_sync_returns_everything_of_ones_own_and_nothing_else(world: World) -> None:
    for number in range(7):
        await world.store_message("alice", "bob", f"to bob {number}")
        await world.store_message("bob", "alice", f"to alice {number}")
        await world.store_message("carol", "dave", f"secret {number}")
    texts, _ = await everything(world, "alice")
    assert sorted(texts) == sorted([f"to bob {n}" for n in range(7)] + [f"to alice {n}" for n in range(7)])
    to_bob = [text for text in texts if text.startswith("to bob")]
    assert to_bob == [f"to bob {n}" for n in range(7)], "one sender's messages to one recipient keep their order"


async def test_sync_goes_on_where_the_token_stands(world: World) -> None:
    await world.store_message("bob", "alice", "old")
    _, token = await everything(world, "alice")
    assert await everything(world, "alice", token) == ([], token)
    await world.store_message("bob", "alice", "new")
    await world.store_message("zoe", "alice", "from a shard not seen before")
    texts, _ = await everything(world, "alice", token)
    assert sorted(texts) == ["from a shard not seen before", "new"]


async def test_a_reader_may_start_with_now(world: World) -> None:
    for sender in ("bob", "zoe", "carol"):
        await world.store_message(sender, "alice", "old")
    start = await world.call("GET", "/v1/sync", as_user="alice", params={"start": "now"})
    assert start.json()["messages"] == []
    await world.store_message("bob", "alice", "new")
    assert (await everything(world, "alice", start.json()["next"]))[0] == ["new"]


async def test_a_reader_without_messages_may_start_with_now(world: World) -> None:
    start = await world.call("GET", "/v1/sync", as_user="alice", params={"start": "now"})
    await world.store_message("bob", "alice", "first")
    assert (await everything(world, "alice", start.json()["next"]))[0] == ["first"]


async def test_what_arrives_while_a_reader_starts_with_now_is_not_missed_and_brings_nothing_old(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sender in SENDERS:
        await world.store_message(sender, "alice", "old")
    heads = world.store.heads

    async def heads_and_then_traffic(app: str, owner: str) -> Mapping[int, int]:
        found = await heads(app, owner)
        for number in range(3):
            await world.store_message("carol", "alice", f"new {number}")
        return found

    monkeypatch.setattr(world.store, "heads", heads_and_then_traffic)
    start = await world.call("GET", "/v1/sync", as_user="alice", params={"start": "now"})
    assert (await everything(world, "alice", start.json()["next"]))[0] == [f"new {number}" for number in range(3)]


async def test_a_page_is_in_order_of_time_across_shards(world: World) -> None:
    messages = [await world.store_message(SENDERS[n % len(SENDERS)], "alice", str(n)) for n in range(6)]
    assert len({message.shard for message in messages}) == len(SENDERS)
    texts, _ = await everything(world, "alice", limit=200)
    assert texts == list("012345")


async def test_a_message_that_was_dropped_is_in_its_senders_timeline_alone(world: World) -> None:
    await world.store_message("mallory", "alice", "unwanted", is_dropped=True)
    assert (await everything(world, "mallory"))[0] == ["unwanted"]
    assert (await everything(world, "alice"))[0] == []


def other_character(token: str, place: int) -> str:
    return token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]


TAMPERINGS: dict[str, Callable[[str], str]] = {
    "empty": lambda token: "",
    "garbage": lambda token: "garbage",
    "not base64": lambda token: token + "!",
    "not ascii": lambda token: token + "é",
    "shorter": lambda token: token[:-4],
    "longer": lambda token: token + "AAAA",
    "checksum changed": lambda token: other_character(token, 4),
    "content changed": lambda token: other_character(token, -6),
    "another version": lambda token: "2" + token[1:],
    "very long": lambda token: "1." + "A" * 18_000,
}


@pytest.mark.parametrize("name", TAMPERINGS)
async def test_a_token_that_is_not_ours_means_start_over(world: World, name: str) -> None:
    await world.store_message("bob", "alice", "old")
    _, token = await everything(world, "alice")
    answer = await world.call("GET", "/v1/sync", as_user="alice", params={"since": TAMPERINGS[name](token)})
    assert (answer.status_code, answer.json()["code"]) == (410, "start_over")


async def test_a_token_of_another_user_means_start_over(world: World) -> None:
    await world.store_message("bob", "alice", "old")
    _, token = await everything(world, "alice")
    answer = await world.call("GET", "/v1/sync", as_user="bob", params={"since": token})
    assert (answer.status_code, answer.json()["code"]) == (410, "start_over")


async def test_a_token_of_another_app_means_start_over(world: World) -> None:
    _, token = await everything(world, "alice")
    key = world.broker_token("alice", app="other")
    answer = await world.call("GET", "/v1/sync", key=key, params={"since": token})
    assert (answer.status_code, answer.json()["code"]) == (410, "start_over")


@pytest.mark.parametrize("has_been_filled_again", [False, True])
async def test_a_store_that_lost_what_the_reader_saw_means_start_over(
    world: World, keys: KeyStore, tmp_path_factory: pytest.TempPathFactory, has_been_filled_again: bool
) -> None:
    """Offsets of a store that was lost or set back to an older copy mean other messages."""
    for number in range(3):
        await world.store_message("bob", "alice", f"lost {number}")
    _, token = await everything(world, "alice")
    store = new_store(tmp_path_factory.mktemp("restored"))
    await store.open()
    restored = build_world(store, keys)
    if has_been_filled_again:
        for number in range(5):
            await restored.store_message("bob", "alice", f"new {number}")
    answer = await restored.call("GET", "/v1/sync", as_user="alice", params={"since": token})
    assert (answer.status_code, answer.json()["code"]) == (410, "start_over")
    assert len((await everything(restored, "alice"))[0]) == (5 if has_been_filled_again else 0)
    await restored.client.aclose()
    await store.close()


async def test_a_store_that_holds_the_same_message_at_another_place_means_start_over(
    world: World, keys: KeyStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A copy that was set back took the message again from the broker, behind others that the reader never saw."""
    await world.store_message("bob", "alice", "seen")
    _, token = await everything(world, "alice")
    store = new_store(tmp_path_factory.mktemp("restored"))
    await store.open()
    restored = build_world(store, keys)
    await restored.store_message("bob", "alice", "missed")
    await restored.store_message("bob", "alice", "seen")
    answer = await restored.call("GET", "/v1/sync", as_user="alice", params={"since": token})
    assert (answer.status_code, answer.json()["code"]) == (410, "start_over")
    await restored.client.aclose()
    await store.close()


async def test_since_and_start_exclude_each_other(world: World) -> None:
    answer = await world.call("GET", "/v1/sync?since=x&start=now", as_user="alice")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@given(
    st.dictionaries(st.integers(0, 255), st.integers(0, 2**62)),
    st.none() | st.builds(Witness, st.integers(0, 2**62), st.text("abc-"), st.integers(0, 255), st.integers(0, 2**62)),
)
def test_a_token_holds_what_was_seen(offsets: dict[int, int], witness: Witness | None) -> None:
    seen = Seen(offsets, witness)
    assert decode_sync_token(encode_sync_token(seen, APP, "alice"), APP, "alice") == seen


@given(st.text() | st.text("AZaz09-_=.1"))
def test_no_word_makes_the_token_reader_fail(word: str) -> None:
    for token in (word, f"1.{word}"):
        with pytest.raises(UnusableToken):
            decode_sync_token(token, APP, "alice")


@pytest.mark.parametrize(
    "seen",
    [
        Seen({-1: 0}),
        Seen({256: 0}),
        Seen({0: -1}),
        Seen({0: 2**63}),
        Seen({}, Witness(0, "m", 0, -1)),
        Seen({}, Witness(0, 7, 0, 0)),  # type: ignore[arg-type]
    ],
)
def test_a_forged_token_with_what_can_not_be_is_unusable(seen: Seen) -> None:
    """The checksum is no signature: whoever forges a token must not reach the store with what it cannot take."""
    with pytest.raises(UnusableToken):
        decode_sync_token(encode_sync_token(seen, APP, "alice"), APP, "alice")
