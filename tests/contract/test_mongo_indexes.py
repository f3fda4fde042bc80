"""No command of the MongoDB store goes without an index: its cost does not grow with what is stored."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from bson import json_util
from pymongo import AsyncMongoClient, MongoClient, monitoring

from observer.store.base import Position, Query
from observer.store.mongo import MongoStore
from policies.base import Ban, Privacy, WhoMayWrite
from tests.contract.messages import APP, NOW_MS, make_message

pytestmark = pytest.mark.mongo
HERE = Position(NOW_MS + 50, "x")
OPERATIONS: dict[str, Callable[[MongoStore], Awaitable[object]]] = {
    "save": lambda s: s.save(
        [make_message(name, "bob", offset=n) for n, name in enumerate("zxy", 900)], [make_message()]
    ),
    "save again": lambda s: s.save([make_message("u0", "bob", offset=0), make_message(offset=903)], []),
    "shard_position": lambda s: s.shard_position(0),
    "look_up": lambda s: s.look_up(
        Query(
            message_ids=[make_message().message_id, "x"],
            senders=[(APP, "alice")],
            recipients=[(APP, "bob")],
            relations=[(APP, "bob", "alice")],
        )
    ),
    "find_repeats": lambda s: s.find_repeats(0, ["f"], 10),
    "timeline": lambda s: s.timeline(APP, "bob", {}, 5),
    "timeline behind": lambda s: s.timeline(APP, "bob", {0: 100, 2: 5}, 5),
    "heads": lambda s: s.heads(APP, "bob"),
    "history": lambda s: s.history(APP, "bob", "alice", before=None, after=None, limit=5),
    "history before": lambda s: s.history(APP, "bob", "alice", before=HERE, after=None, limit=5),
    "history after": lambda s: s.history(APP, "bob", "alice", before=None, after=HERE, limit=5),
    "find_message": lambda s: s.find_message(APP, "bob", "x"),
    "conversations": lambda s: s.conversations(APP, "bob", before=None, limit=5),
    "conversations before": lambda s: s.conversations(APP, "bob", before=HERE, limit=5),
    "conversation": lambda s: s.conversation(APP, "bob", "alice"),
    "mark_read": lambda s: s.mark_read(APP, "bob", "alice", HERE),
    "block": lambda s: s.set_blocked(APP, "bob", "alice", True, 1),
    "unblock": lambda s: s.set_blocked(APP, "bob", "alice", False, 1),
    "blocked": lambda s: s.blocked(APP, "bob", after="a", limit=5),
    "name_contact": lambda s: s.set_contact(APP, "bob", "alice", True, 1),
    "forget_contact": lambda s: s.set_contact(APP, "bob", "alice", False, 1),
    "contacts": lambda s: s.contacts(APP, "bob", after="a", limit=5),
    "privacy": lambda s: s.privacy(APP, "bob"),
    "set_privacy": lambda s: s.set_privacy(APP, "bob", Privacy(WhoMayWrite.NOBODY)),
    "profile": lambda s: s.profile(APP, "bob"),
    "set_profile": lambda s: s.set_profile(APP, "bob", {}),
    "set_ban": lambda s: s.set_ban(APP, "bob", Ban(), by="root", now_ms=1),
    "lift_ban": lambda s: s.lift_ban(APP, "bob"),
    "ban": lambda s: s.ban(APP, "bob"),
    "bans": lambda s: s.bans(APP, after="a", limit=5),
    "ping": lambda s: s.ping(),
}
EXPLAINED = {
    "find": ("find", "filter", "sort", "limit", "projection"),
    "aggregate": ("aggregate", "pipeline", "cursor"),
}
# As MongoDB calls it; as PostgreSQL under FerretDB does, whose key index begins with the number of the collection.
WHOLE_COLLECTION = re.compile(r"COLLSCAN|Seq Scan|\"Index Cond\": \"\(shard_key_value = '\d+'::bigint\)\"")


class Commands(monitoring.CommandListener):
    """Keeps the commands that a client sends."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Keep the command that goes out."""
        self.sent.append(dict(event.command) | {"name": event.command_name})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest here."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest here."""


def plan_of(client: MongoClient[dict[str, Any]], command: dict[str, Any]) -> str:
    """What the server says it does for a command."""
    asked = {key: command[key] for key in EXPLAINED[command["name"]] if key in command}
    return json_util.dumps(client.get_default_database().command({"explain": asked, "verbosity": "queryPlanner"}))


async def test_every_command_uses_an_index(mongo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads: by the server's own plan. Writes: keyed on _id alone, or inserts."""
    commands = Commands()
    monkeypatch.setattr("observer.store.mongo.AsyncMongoClient", partial(AsyncMongoClient, event_listeners=[commands]))
    store = MongoStore(mongo_url)
    await store.open()
    await store.save([make_message(f"u{n % 40}", "bob", offset=n) for n in range(400)], [])
    with MongoClient[dict[str, Any]](mongo_url) as client:
        for name, operation in OPERATIONS.items():
            commands.sent.clear()
            await operation(store)
            assert commands.sent, name
            for command in list(commands.sent):
                assert_indexed(client, command, name)
    await store.close()


def assert_indexed(client: MongoClient[dict[str, Any]], command: dict[str, Any], operation: str) -> None:
    """Fail with the command and its plan if it goes through a whole collection."""
    match command["name"]:
        case "find" | "aggregate":
            plan = plan_of(client, command)
            assert not WHOLE_COLLECTION.search(plan), f"{operation}: {command}\n{plan}"
        case "update":
            assert [list(update["q"]) for update in command["updates"]] == [["_id"]] * len(command["updates"])
            keys = [update["q"]["_id"] for update in command["updates"]]
            assert keys == sorted(keys), operation
        case "delete":
            assert [list(delete["q"]) for delete in command["deletes"]] == [["_id"]]
        case other:
            assert other == "insert", operation


async def test_the_end_of_a_shard_is_found_without_sorting_the_shard(
    mongo_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FerretDB sorts whatever the filter lets through: with millions, that takes longer than a start may."""
    commands = Commands()
    monkeypatch.setattr("observer.store.mongo.AsyncMongoClient", partial(AsyncMongoClient, event_listeners=[commands]))
    store = MongoStore(mongo_url)
    await store.open()
    await store.save([make_message(offset=n) for n in range(400)], [])
    commands.sent.clear()
    await store.shard_position(0)
    await store.close()
    with MongoClient[dict[str, Any]](mongo_url) as client:
        messages = client.get_default_database()["messages"]
        sorted_through = [messages.count_documents(sent["filter"]) for sent in commands.sent if "sort" in sent]
    assert sorted_through == [1]


async def test_the_indexes_that_bound_what_is_read_are_there(mongo_url: str) -> None:
    """Which of them a server takes is its planner's affair, and changes with what is stored."""
    store = MongoStore(mongo_url)
    await store.open()
    await store.close()
    with MongoClient[dict[str, Any]](mongo_url) as client:
        database = client.get_default_database()
        found = {
            (collection, name, tuple(index["key"]), index.get("unique", False))
            for collection in ("messages", "peers", "settings")
            for name, index in database[collection].index_information().items()
            if name != "_id_"
        }
    assert found == {
        ("messages", "place", (("place", 1),), True),
        ("messages", "timeline", (("owners", 1), ("place", 1)), False),
        ("messages", "thread", (("thread", 1), ("timestamp_ms", 1), ("_id", 1)), False),
        ("peers", "last", (("owner", 1), ("last.ms", -1), ("last.id", -1)), False),
    }


async def test_a_command_without_an_index_would_be_noticed(mongo_url: str) -> None:
    store = MongoStore(mongo_url)
    await store.open()
    await store.save([make_message(offset=n) for n in range(400)], [])
    await store.close()
    with MongoClient[dict[str, Any]](mongo_url) as client:
        plan = plan_of(client, {"name": "find", "find": "messages", "filter": {"fingerprint": "x"}})
    assert WHOLE_COLLECTION.search(plan)
