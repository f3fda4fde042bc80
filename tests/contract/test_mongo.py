"""What is special about MongoDB: it goes away and comes back, other writers are there, its indexes can be missing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import MongoClient

from observer.errors import ConfigError, ShardLost, StoreUnavailable
from observer.message import Message
from observer.store.base import Query, Store
from observer.store.mongo import MongoStore
from policies.base import Relation
from tests.contract.messages import APP, make_message, offsets
from tests.services.cut_line import CutLine

pytestmark = pytest.mark.mongo


@pytest.fixture
def line(mongo_url: str) -> Iterator[CutLine]:
    """A line to the server that can be cut."""
    port = urlsplit(mongo_url).port
    assert port is not None
    with CutLine(port) as line:
        yield line


def over(line: CutLine, mongo_url: str) -> str:
    """The URL of the same database over this line."""
    parts = urlsplit(mongo_url)
    login = parts.netloc.rpartition("@")[0]
    netloc = f"{login}@127.0.0.1:{line.port}" if login else f"127.0.0.1:{line.port}"
    return urlunsplit(parts._replace(netloc=netloc))


@pytest.fixture
async def store(mongo_url: str) -> AsyncIterator[MongoStore]:
    """An open store that holds nothing."""
    opened = MongoStore(mongo_url)
    await opened.open()
    yield opened
    await opened.close()


async def test_a_server_that_goes_away_is_unavailable_and_used_again_once_it_is_back(
    line: CutLine, mongo_url: str
) -> None:
    store = MongoStore(over(line, mongo_url), timeout_s=1.0)
    await store.open()
    await store.save([make_message(offset=0)], [])
    line.go_down()
    for attempt in (store.ping(), store.save([make_message(offset=1)], []), store.look_up(Query(message_ids=["x"]))):
        with pytest.raises(StoreUnavailable):
            await attempt
    line.come_up()
    await store.save([make_message(offset=1)], [])
    assert offsets((await store.timeline(APP, "bob", {}, 9)).messages) == [0, 1]
    await store.close()


async def test_a_line_that_is_cut_while_saving_leaves_nothing_half_once_the_save_is_repeated(
    line: CutLine, mongo_url: str, store: MongoStore
) -> None:
    """Wherever the cut falls, and whether or not the caller heard of it: message, timeline, conversation, contact."""
    victim = MongoStore(over(line, mongo_url), timeout_s=5.0)
    await victim.open()
    batches = [[make_message(f"u{n % 7}", "bob", offset=first + n) for n in range(25)] for first in range(0, 500, 25)]

    async def write() -> None:
        for batch in batches:
            await save_until_it_works(victim, batch)

    writing = asyncio.create_task(write())
    for count in (50, 150, 300):
        while (await store.shard_position(0)).next_offset < count:  # noqa: ASYNC110  the condition is in a database
            await asyncio.sleep(0)
        line.cut()
    await writing
    assert line.cuts >= 3
    everything = [message for batch in batches for message in batch]
    assert (await store.timeline(APP, "bob", {}, 1000)).messages == tuple(everything)
    for row in await store.conversations(APP, "bob", before=None, limit=10):
        theirs = [message for message in everything if message.sender == row.peer]
        assert (row.last_message, row.unread) == (theirs[-1], len(theirs))
    relations = [(APP, f"u{n}", "bob") for n in range(7)]
    found = (await store.look_up(Query(relations=relations))).relations
    assert [found[relation] for relation in relations] == [Relation(is_contact=True)] * 7
    await victim.close()


async def save_until_it_works(store: Store, batch: list[Message]) -> None:
    """What the pipeline does: the same batch again until it is stored."""
    while True:
        try:
            await store.save(batch, [])
        except StoreUnavailable:
            continue
        return


async def test_a_crash_between_messages_and_conversations_is_mended_by_the_repeat(
    mongo_url: str, store: MongoStore
) -> None:
    """The first write happened, the second did not: the message comes again as known."""
    message = make_message()
    await store.save([message], [])
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client.get_default_database()["peers"].delete_many({})
    assert await store.conversation(APP, "bob", "alice") is None
    await store.save([], [message])
    row = await store.conversation(APP, "bob", "alice")
    assert row is not None
    assert (row.last_message, row.unread) == (message, 1)
    found = await store.look_up(Query(relations=[(APP, "alice", "bob")]))
    assert found.relations == {(APP, "alice", "bob"): Relation(is_contact=True)}


async def test_a_writer_in_another_process_that_lost_the_shard_is_stopped(mongo_url: str, store: MongoStore) -> None:
    """Also amid its batch: what it stored before the taken offset is a prefix in the order of the offsets."""
    other = MongoStore(mongo_url)
    await other.open()
    await other.save([make_message("carol", "bob", offset=5, message_id="theirs")], [])
    with pytest.raises(ShardLost, match="offset 5 of shard 0"):
        await store.save([make_message(offset=n, message_id=f"m{n}") for n in range(3, 8)], [])
    page = await store.timeline(APP, "bob", {}, 9)
    assert [message.message_id for message in page.messages] == ["m3", "m4", "theirs"]
    await other.close()


async def test_two_processes_on_the_same_conversations_do_not_lock_each_other_out(
    mongo_url: str, store: MongoStore
) -> None:
    """Each writes the same pairs in another order, many times; nobody fails and nothing is lost."""
    other = MongoStore(mongo_url)
    await other.open()
    users = [f"u{n}" for n in range(12)]
    pairs = [(one, peer) for one in users for peer in users if one < peer]

    async def write(target: MongoStore, shard: int, ordered: list[tuple[str, str]]) -> None:
        for turn in range(5):
            first = turn * len(pairs)
            batch = [make_message(*pair, shard=shard, offset=first + n) for n, pair in enumerate(ordered)]
            await target.save(batch, [])

    await asyncio.gather(
        write(store, 0, pairs), write(other, 1, pairs[::-1]), write(store, 2, pairs[::-1]), write(other, 3, pairs)
    )
    for user in users:
        page = await store.timeline(APP, user, {}, 10_000)
        assert len(page.messages) == 4 * 5 * (len(users) - 1)
    await other.close()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mongodb://127.0.0.1:1", "names no database"),
        ("mongodb://127.0.0.1:1/?x", "no MongoDB URL|names no database"),
        ("mongodb://user@:secret@127.0.0.1:1/chat", "no MongoDB URL"),
        ("mongodb://", "no MongoDB URL"),
    ],
)
async def test_a_url_that_cannot_work_is_a_matter_of_configuration(url: str, text: str) -> None:
    store = MongoStore(url, timeout_s=1.0)
    with pytest.raises(ConfigError, match=text) as caught:
        await store.open()
    assert "secret" not in str(caught.value)


async def test_an_index_that_differs_from_ours_is_named(mongo_url: str) -> None:
    """Without the unique index two writers would not notice each other."""
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client.get_default_database()["messages"].create_index("place", name="place", unique=False)
    store = MongoStore(mongo_url)
    with pytest.raises(ConfigError, match=r"an index of .*\.messages differs from ours"):
        await store.open()
