"""Messages and read markers on their way into MongoDB: two commands a batch, whatever its size.

No transaction: messages first, then conversations. A crash between the two is mended when the message comes again:
`known` in `save`. Updates are keyed on _id and sorted by it, so that two writers take locks in the same order.
"""

from collections.abc import Mapping, Sequence

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from observer.errors import ShardLost, StoreUnavailable
from observer.message import Message, peer_of
from observer.store.base import Position
from observer.store.mongo_calls import DUPLICATE_KEY, codes_of
from observer.store.mongo_documents import Document, document_of, key, position_document
from observer.store.mongo_schema import Collections


async def save(collections: Collections, messages: Sequence[Message], known: Sequence[Message]) -> None:
    """Store messages, then move their conversations and those of `known`."""
    ours = await _insert(collections, messages) if messages else ()
    moves: dict[str, Document] = {}
    forgotten = await _forgotten(collections, known) if known else {}
    for message in known:
        written = key(message.app, message.sender, message.recipient)
        _fold(moves, message, is_writing=message.timestamp_ms > forgotten.get(written, -1))
    for message in ours:
        _fold(moves, message, is_writing=True)
    if moves:
        updates = [UpdateOne({"_id": _id}, moves[_id], upsert=True) for _id in sorted(moves)]
        await collections.peers.bulk_write(updates, ordered=False)


async def _insert(collections: Collections, messages: Sequence[Message]) -> Sequence[Message]:
    """Insert in the order of the offsets, so that whoever sees one offset sees all below it; those stored as given."""
    documents = [document_of(message) for message in messages]
    try:
        await collections.messages.insert_many(documents, ordered=True)
    except BulkWriteError as error:
        if codes_of(error) != {DUPLICATE_KEY}:
            raise
        return await _insert_missing(collections, messages, documents)
    return messages


async def _insert_missing(
    collections: Collections, messages: Sequence[Message], documents: Sequence[Document]
) -> Sequence[Message]:
    ids = [document["_id"] for document in documents]
    places = [document["place"] for document in documents]
    stored = await _stored(collections, ids, places)
    at_place = {found["place"]: message_id for message_id, found in stored.items()}
    for message, document in zip(messages, documents, strict=True):
        if at_place.get(document["place"], document["_id"]) != document["_id"]:
            raise ShardLost(f"offset {message.offset} of shard {message.shard} is taken by another message")
    if any(document | stored.get(document["_id"], {}) != document for document in documents):
        # One client id, two recipients: it came through another shard. Or a save that was given up came through after
        # all, or another process holds the same deliveries: with another time or verdict. The next look-up knows what
        # is stored; only that may be shown, and what stands behind it in the batch must get a later time.
        raise StoreUnavailable("a message of this batch was stored otherwise meanwhile")
    try:
        if missing := [document for document in documents if document["_id"] not in stored]:
            await collections.messages.insert_many(missing, ordered=True)
    except BulkWriteError as error:
        # What stood in the way is there but not on the majority yet, or came this moment: the next try sees it.
        raise StoreUnavailable("messages of this batch are being stored by somebody else") from error
    return messages


async def _stored(collections: Collections, ids: Sequence[str], places: Sequence[int]) -> Mapping[str, Document]:
    """What is stored under these ids, and at these places: of each message what two tries may differ in."""
    found: dict[str, Document] = {}
    for condition in ({"_id": {"$in": ids}}, {"place": {"$in": places}}):
        async for document in collections.messages.find(condition, {"place": 1, "owners": 1, "timestamp_ms": 1}):
            found[document["_id"]] = document
    return found


async def _forgotten(collections: Collections, known: Sequence[Message]) -> Mapping[str, int]:
    """When a sender un-named the recipient: a repeat of what he wrote before does not make him a contact again."""
    keys = [key(message.app, message.sender, message.recipient) for message in known]
    found = collections.peers.find({"_id": {"$in": keys}, "forgotten_ms": {"$gt": 0}}, {"forgotten_ms": 1})
    return {document["_id"]: document["forgotten_ms"] async for document in found}


def _fold(moves: dict[str, Document], message: Message, *, is_writing: bool) -> None:
    """Add what a message does to its owners' conversations; several of one conversation become one update."""
    position = {"ms": message.timestamp_ms, "id": message.message_id}
    for owner in message.owners:
        move = _move(moves, message.app, owner, peer_of(message, owner))
        last = move.setdefault("$max", {"last": position})["last"]
        if (position["ms"], position["id"]) > (last["ms"], last["id"]):
            move["$max"] = {"last": position}
    if is_writing:
        move = _move(moves, message.app, message.sender, message.recipient)
        move.setdefault("$min", {"written_since_ms": message.timestamp_ms})


def _move(moves: dict[str, Document], app: str, owner: str, peer: str) -> Document:
    _id = f"{app}/{owner}/{peer}"
    found = moves.get(_id)
    if found is None:
        found = moves[_id] = {"$setOnInsert": {"owner": f"{app}/{owner}", "peer": peer}}
    return found


async def mark_read(collections: Collections, app: str, owner: str, peer: str, up_to: Position) -> None:
    """Move the read marker, forward only."""
    await collections.peers.update_one(
        {"_id": key(app, owner, peer)},
        {"$max": {"read": position_document(up_to)}, "$setOnInsert": {"owner": key(app, owner), "peer": peer}},
        upsert=True,
    )
