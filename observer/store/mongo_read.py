"""What one user reads of his messages in MongoDB. What he may not see is never read at all."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from observer.message import Message
from observer.store.base import UNREAD_LIMIT, Conversation, Page, Position
from observer.store.mongo_documents import Document, behind, key, message_of, position_of, threads_seen
from observer.store.mongo_schema import Collections
from observer.store.place import MAX_INTEGER, offset_of, place_of, shard_of, unseen


async def timeline(collections: Collections, app: str, owner: str, after: Mapping[int, int], limit: int) -> Page:
    """What came into a timeline behind these offsets, by shard and offset."""
    mine = key(app, owner)
    spans = [{"owners": mine, "place": {"$gte": first, "$lte": last}} for first, last in unseen(after)]
    found = collections.messages.find({"$or": spans} if len(spans) > 1 else spans[0], sort={"place": 1})
    return _page(await found.limit(limit + 1).to_list(), limit)


def _page(documents: Sequence[Document], limit: int) -> Page:
    return Page(tuple(message_of(document) for document in documents[:limit]), len(documents) > limit)


async def heads(collections: Collections, app: str, owner: str) -> Mapping[int, int]:
    """The highest offset of each shard in a timeline: one step down the index a shard."""
    found: dict[int, int] = {}
    below = MAX_INTEGER
    while True:
        last = await collections.messages.find_one(
            {"owners": key(app, owner), "place": {"$lt": below}}, {"place": 1}, sort={"place": -1}
        )
        if last is None:
            return found
        shard = shard_of(last["place"])
        found[shard] = offset_of(last["place"])
        below = place_of(shard, 0)


async def history(
    collections: Collections,
    app: str,
    owner: str,
    peer: str,
    *,
    before: Position | None,
    after: Position | None,
    limit: int,
) -> Page:
    """A piece of a conversation, of both directions."""
    threads = [*threads_seen(app, owner, owner, peer), *threads_seen(app, owner, peer, owner)]
    conditions: list[Document] = [{"thread": {"$in": threads}}]
    for position, is_older in ((before, True), (after, False)):
        if position is not None:
            conditions += behind(position, ms="timestamp_ms", tie="_id", is_older=is_older)
    direction = -1 if after is None else 1
    found = collections.messages.find({"$and": conditions}, sort={"timestamp_ms": direction, "_id": direction})
    page = _page(await found.limit(limit + 1).to_list(), limit)
    return page if after is not None else Page(page.messages[::-1], page.has_more)


async def find_message(collections: Collections, app: str, owner: str, message_id: str) -> Message | None:
    """The message if it is in the owner's timeline."""
    document = await collections.messages.find_one({"_id": message_id, "owners": key(app, owner)})
    return message_of(document) if document else None


async def conversations(
    collections: Collections, app: str, owner: str, *, before: Position | None, limit: int
) -> Sequence[Conversation]:
    """An owner's conversations, newest first."""
    conditions: list[Document] = [{"owner": key(app, owner)}, {"last.ms": {"$gte": 0}}]
    if before is not None:
        conditions += behind(before, ms="last.ms", tie="last.id", is_older=True)
    found = collections.peers.find({"$and": conditions}, sort={"last.ms": -1, "last.id": -1})
    return await _conversations(collections, app, owner, await found.limit(limit).to_list())


async def conversation(collections: Collections, app: str, owner: str, peer: str) -> Conversation | None:
    """One conversation of an owner, if it has a message, and that is there: a restored dump may lack it."""
    document = await collections.peers.find_one({"_id": key(app, owner, peer)})
    if document is None or "last" not in document:
        return None
    return next(iter(await _conversations(collections, app, owner, [document])), None)


async def _conversations(
    collections: Collections, app: str, owner: str, documents: Sequence[Document]
) -> Sequence[Conversation]:
    ids = [document["last"]["id"] for document in documents]
    last = {
        document["_id"]: message_of(document)
        for document in await collections.messages.find({"_id": {"$in": ids}}).to_list()
    }
    unread = await asyncio.gather(*(_unread(collections, app, owner, document) for document in documents))
    return [
        Conversation(app, owner, document["peer"], last[document["last"]["id"]], count, _read_up_to(document))
        for document, count in zip(documents, unread, strict=True)
        if document["last"]["id"] in last
    ]


def _read_up_to(document: Mapping[str, Any]) -> Position | None:
    return position_of(document["read"]) if "read" in document else None


async def _unread(collections: Collections, app: str, owner: str, document: Mapping[str, Any]) -> int:
    peer, marker = document["peer"], _read_up_to(document)
    if peer == owner or (marker is not None and marker >= position_of(document["last"])):
        return 0
    conditions: list[Document] = [{"thread": {"$in": threads_seen(app, owner, peer, owner)}}]
    if marker is not None:
        conditions += behind(marker, ms="timestamp_ms", tie="_id", is_older=False)
    return await collections.messages.count_documents({"$and": conditions}, limit=UNREAD_LIMIT)
