"""The collections and indexes of the MongoDB store, and the steps from one version of its data to the next.

Every step may run twice: a process that dies within one leaves the rest to the next start.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pymongo import IndexModel, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from observer.errors import ConfigError
from observer.store.mongo_documents import Document, key
from observer.store.schema import check_version

Collection: TypeAlias = AsyncCollection[Document]
Database: TypeAlias = AsyncDatabase[Document]
_STEP_SIZE = 1000


@dataclass(frozen=True, slots=True)
class Collections:
    """What the store consists of."""

    messages: Collection
    """_id: message id."""
    peers: Collection
    """_id: app/owner/peer. How an owner stands to a peer; `last` is absent until there is a message."""
    settings: Collection
    """_id: ban/app/user, privacy/app/user, profile/app/user: kinds in one place, so that one command looks up all."""
    schema: Collection
    """_id: "version"."""


def collections_of(database: Database) -> Collections:
    """The collections of a database."""
    return Collections(database["messages"], database["peers"], database["settings"], database["schema"])


_INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "messages": (
        IndexModel("place", name="place", unique=True),  # the fence against a second writer of a shard
        IndexModel(["owners", "place"], name="timeline"),
        IndexModel(["thread", "timestamp_ms", "_id"], name="thread"),
    ),
    "peers": (IndexModel([("owner", 1), ("last.ms", -1), ("last.id", -1)], name="last"),),
}


async def migrate(database: Database) -> None:
    """Make the indexes, bring the data to VERSION.

    Raises ConfigError for a newer version and for an index that exists but differs; PyMongoError as it comes.
    """
    collections = collections_of(database)
    record = await collections.schema.find_one({"_id": "version"})
    version = record["version"] if record else 0
    check_version(version, VERSION, f"database {database.name}")
    for number, step in enumerate(STEPS[version:], version + 1):
        await step(collections)
        await collections.schema.update_one({"_id": "version"}, {"$set": {"version": number}}, upsert=True)
    for name, indexes in _INDEXES.items():
        await _make_indexes(database[name], indexes)


async def _make_indexes(collection: Collection, indexes: Sequence[IndexModel]) -> None:
    try:
        await collection.create_indexes(list(indexes))
        found = await collection.index_information()
    except OperationFailure as error:
        if error.code in (85, 86):  # IndexOptionsConflict, IndexKeySpecsConflict
            raise ConfigError(
                f"store.url: an index of {collection.full_name} differs from ours; drop it ({str(error)[:200]})"
            ) from error
        raise
    for index in indexes:
        name = index.document["name"]
        if name not in found or bool(found[name].get("unique")) != bool(index.document.get("unique")):
            raise ConfigError(f"store.url: index {name} of {collection.full_name} differs from ours; drop it")


async def _begin(_: Collections) -> None:
    """Version 1: nothing to bring along; the indexes are made at every start."""


async def _name_owners(collections: Collections) -> None:
    """Version 2: `owner` and `peer` beside the key of `peers`, for the index of the conversation list."""
    updates = []
    async for document in collections.peers.find({"_id": {"$gt": ""}}, {"owner": 1}):
        if "owner" not in document:
            updates.append(_with_owner(document["_id"]))
        if len(updates) == _STEP_SIZE:
            await collections.peers.bulk_write(updates, ordered=False)
            updates = []
    if updates:
        await collections.peers.bulk_write(updates, ordered=False)


def _with_owner(peer_key: str) -> UpdateOne:
    app, owner, peer = peer_key.split("/")
    return UpdateOne({"_id": peer_key}, {"$set": {"owner": key(app, owner), "peer": peer}})


STEPS: Sequence[Callable[[Collections], Awaitable[Any]]] = (_begin, _name_owners)
VERSION = len(STEPS)
