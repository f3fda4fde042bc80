"""Data written by yesterday's version opens today, and holds what it held."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from observer.errors import ConfigError
from observer.store import open_store
from observer.store.base import Peer, Position, Query, Store
from policies.base import Ban, Privacy, Relation, WhoMayWrite
from tests.contract.messages import APP, NOW_MS, make_message

OLD_SQLITE = Path(__file__).with_name("sqlite_version_1.sql")
MESSAGE = make_message(
    message_id="00000000-0000-5000-8000-000000000001", body=b'{"text":"old"}', client_message_id="c1"
)


async def assert_it_is_all_there(store: Store) -> None:
    """What both old stores hold."""
    assert (await store.look_up(Query(message_ids=[MESSAGE.message_id]))).messages == {MESSAGE.message_id: MESSAGE}
    assert (await store.timeline(APP, "bob", {}, 9)).messages == (MESSAGE,)
    assert (await store.history(APP, "alice", "bob", before=None, after=None, limit=9)).messages == (MESSAGE,)
    [row] = await store.conversations(APP, "bob", before=None, limit=9)
    assert (row.peer, row.last_message, row.unread) == ("alice", MESSAGE, 0)
    assert row.read_up_to == Position(MESSAGE.timestamp_ms, MESSAGE.message_id)
    assert await store.blocked(APP, "bob", after="", limit=9) == [Peer("eve", 5)]
    assert await store.contacts(APP, "alice", after="", limit=9) == [Peer("bob", NOW_MS)]
    assert await store.privacy(APP, "bob") == Privacy(WhoMayWrite.CONTACTS)
    assert await store.ban(APP, "eve") == Ban(9, "spam")


async def assert_it_goes_on(store: Store) -> None:
    """What only this version can do, and the next message."""
    await store.set_profile(APP, "bob", {"name": "Bob"})
    assert await store.profile(APP, "bob") == {"name": "Bob"}
    assert await store.privacy(APP, "bob") == Privacy(WhoMayWrite.CONTACTS)
    reply = make_message("bob", "alice", offset=1)
    await store.save([reply], [])
    assert (await store.history(APP, "bob", "alice", before=None, after=None, limit=9)).messages == (MESSAGE, reply)
    assert (await store.look_up(Query(relations=[(APP, "bob", "alice")]))).relations == {
        (APP, "bob", "alice"): Relation(is_contact=True)
    }


async def open_twice(url: str) -> None:
    """Open an old store: it goes forward once, and the second start finds nothing to do."""
    for _ in range(2):
        store = open_store(url, 10.0)
        await store.open()
        await assert_it_is_all_there(store)
        await store.close()
    await store.open()
    await assert_it_goes_on(store)
    await store.close()


async def test_sqlite_goes_forward_from_version_1(tmp_path: Path) -> None:
    path = tmp_path / "observer.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD_SQLITE.read_text())
    connection.close()
    await open_twice(f"sqlite:///{path}")


OLD_MONGO: dict[str, list[dict[str, Any]]] = {
    "schema": [{"_id": "version", "version": 1}],
    "messages": [
        {
            "_id": MESSAGE.message_id,
            "place": 0,
            "app": APP,
            "sender": "alice",
            "recipient": "bob",
            "owners": ["shop/alice", "shop/bob"],
            "thread": "shop/alice/bob",
            "timestamp_ms": NOW_MS,
            "body": b'{"text":"old"}',
            "client_message_id": "c1",
        }
    ],
    "peers": [
        {"_id": "shop/alice/bob", "last": {"ms": NOW_MS, "id": MESSAGE.message_id}, "written_since_ms": NOW_MS},
        {
            "_id": "shop/bob/alice",
            "last": {"ms": NOW_MS, "id": MESSAGE.message_id},
            "read": {"ms": NOW_MS, "id": MESSAGE.message_id},
        },
        {"_id": "shop/bob/eve", "blocked_since_ms": 5},
    ],
    "settings": [
        {"_id": "privacy/shop/bob", "who_may_write": "contacts"},
        {"_id": "ban/shop/eve", "until_ms": 9, "reason": "spam", "by": "root", "since_ms": 5},
    ],
}


@pytest.mark.mongo
async def test_mongo_goes_forward_from_version_1(mongo_url: str) -> None:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        for name, documents in OLD_MONGO.items():
            client.get_default_database()[name].insert_many(documents)
    await open_twice(mongo_url)


@pytest.mark.mongo
async def test_mongo_data_of_a_later_version_is_left_alone(mongo_url: str) -> None:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client.get_default_database()["schema"].insert_one({"_id": "version", "version": 99})
    store = open_store(mongo_url, 10.0)
    with pytest.raises(ConfigError, match="schema version 99, this program knows 2 at most"):
        await store.open()


@pytest.mark.mongo
async def test_a_mongo_ping_of_an_old_process_leaves_the_version_of_a_newer_one_alone(mongo_url: str) -> None:
    """A process that was forgotten in the update asks every two seconds whether the store takes what is written."""
    store = open_store(mongo_url, 10.0)
    await store.open()
    with MongoClient[dict[str, Any]](mongo_url) as client:
        schema = client.get_default_database()["schema"]
        schema.update_one({"_id": "version"}, {"$set": {"version": 99}})
        await store.ping()
        version = schema.find_one({"_id": "version"})
    await store.close()
    assert version is not None
    assert version["version"] == 99
