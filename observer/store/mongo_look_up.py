"""What the pipeline reads from MongoDB: one command a kind of fact, all at once, none for what is not asked for."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from observer.message import Message
from observer.store.base import Found, Query, ShardPosition
from observer.store.mongo_documents import Document, key, message_of
from observer.store.mongo_schema import Collection as MongoCollection
from observer.store.mongo_schema import Collections
from observer.store.place import MAX_OFFSET, offset_of, place_of
from policies.base import Ban, Privacy, Relation, WhoMayWrite

_RELATION_FIELDS = {"blocked_since_ms": 1, "contact_since_ms": 1, "written_since_ms": 1}


async def shard_position(collections: Collections, shard: int) -> ShardPosition:
    """Where the shard's writer goes on.

    FerretDB reads and sorts all of a range to find its end, so the range begins at an offset that is late already.
    """
    late = await _late_offset(collections.messages, shard)
    last = await collections.messages.find_one(
        {"place": {"$gte": place_of(shard, late), "$lte": place_of(shard, MAX_OFFSET)}},
        {"place": 1, "timestamp_ms": 1},
        sort={"place": -1},
    )
    return ShardPosition(offset_of(last["place"]) + 1, last["timestamp_ms"]) if last else ShardPosition(0, 0)


async def _late_offset(messages: MongoCollection, shard: int) -> int:
    """The last stored offset, found by looking at some: a digit to the base 16 each time, since none are left out.

    Were some left out, it would be an earlier one that is stored; 0 if the first ones are.
    """
    late = -1
    while True:
        probes = [late + digit * 16**power for power in range(10) for digit in range(1, 16)]
        places = [place_of(shard, offset) for offset in probes if offset <= MAX_OFFSET]
        found = await messages.find({"place": {"$in": places}}, {"place": 1}, batch_size=len(places) + 1).to_list()
        if not found:
            return max(late, 0)
        late = max(offset_of(document["place"]) for document in found)


async def look_up(collections: Collections, query: Query) -> Found:
    """The answer to a query."""
    bans = {key("ban", *pair): pair for pair in query.senders}
    privacy = {key("privacy", *pair): pair for pair in query.recipients}
    relations = {key(*triple): triple for triple in query.relations}
    messages, settings, peers = await asyncio.gather(
        _by_id(collections.messages, query.message_ids),
        _by_id(collections.settings, [*bans, *privacy]),
        _by_id(collections.peers, list(relations), _RELATION_FIELDS),
    )
    return Found(
        messages={document["_id"]: message_of(document) for document in messages},
        bans={bans[_id]: ban_of(document) for document in settings if (_id := document["_id"]) in bans},
        privacy={privacy[_id]: privacy_of(document) for document in settings if (_id := document["_id"]) in privacy},
        relations={relations[document["_id"]]: _relation_of(document) for document in peers},
    )


async def _by_id(
    collection: MongoCollection, ids: Collection[str], fields: Mapping[str, Any] | None = None
) -> Sequence[Document]:
    if not ids:
        return ()
    # All in the first answer: a batch size of its own saves the further round trips of the default one.
    return await collection.find({"_id": {"$in": list(ids)}}, fields, batch_size=len(ids) + 1).to_list()


def ban_of(document: Mapping[str, Any]) -> Ban:
    """The ban of a settings document."""
    return Ban(document["until_ms"], document["reason"])


def privacy_of(document: Mapping[str, Any]) -> Privacy:
    """The privacy settings of a settings document."""
    return Privacy(WhoMayWrite(document["who_may_write"]))


def _relation_of(document: Mapping[str, Any]) -> Relation:
    return Relation(
        is_blocked="blocked_since_ms" in document,
        is_contact="contact_since_ms" in document or "written_since_ms" in document,
    )


async def find_repeats(
    collections: Collections, shard: int, fingerprints: Collection[str], among_last: int
) -> Sequence[Message]:
    """The last messages of the shard that carry one of the fingerprints, oldest first."""
    next_offset = (await shard_position(collections, shard)).next_offset
    first = place_of(shard, max(0, next_offset - among_last))
    found = await collections.messages.find(
        {
            "place": {"$gte": first, "$lt": place_of(shard, next_offset)},
            "fingerprint": {"$in": list(fingerprints)},
        },
        sort={"place": 1},
    ).to_list()
    return [message_of(document) for document in found]
