"""How things are spelt in MongoDB documents: keys, messages, positions. An id has no `/`, so keys join with it."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from observer.message import Message, sole_owner
from observer.store.base import Position
from observer.store.place import MAX_INTEGER, offset_of, place_of, shard_of

Document: TypeAlias = dict[str, Any]


def key(*parts: str) -> str:
    """The key of something: `app/owner/peer`, `ban/app/user`, …"""
    return "/".join(parts)


def keys_below(prefix: str, after: str) -> Document:
    """The filter for all keys `prefix/…` whose last part is behind `after`."""
    return {"$gt": f"{prefix}/{after}", "$lt": f"{prefix}0"}  # "0" follows "/"


def document_of(message: Message) -> Document:
    """A message as stored."""
    document: Document = {
        "_id": message.message_id,
        "place": place_of(message.shard, message.offset),
        "app": message.app,
        "sender": message.sender,
        "recipient": message.recipient,
        "owners": [f"{message.app}/{owner}" for owner in message.owners],
        "thread": _thread(message),
        "timestamp_ms": message.timestamp_ms,
        "body": message.body,
    }
    if message.client_message_id is not None:
        document["client_message_id"] = message.client_message_id
    if message.client_timestamp_ms is not None:
        document["client_timestamp_ms"] = message.client_timestamp_ms
    if message.fingerprint is not None:
        document["fingerprint"] = message.fingerprint
    return document


def message_of(document: Mapping[str, Any]) -> Message:
    """The message of a document."""
    sender, recipient = document["sender"], document["recipient"]
    return Message(
        message_id=document["_id"],
        app=document["app"],
        sender=sender,
        recipient=recipient,
        body=document["body"],
        timestamp_ms=document["timestamp_ms"],
        owners=tuple(owner.partition("/")[2] for owner in document["owners"]),
        shard=shard_of(document["place"]),
        offset=offset_of(document["place"]),
        client_message_id=document.get("client_message_id"),
        client_timestamp_ms=document.get("client_timestamp_ms"),
        fingerprint=document.get("fingerprint"),
    )


def _thread(message: Message) -> str:
    thread = f"{message.app}/{message.sender}/{message.recipient}"
    owner = sole_owner(message)
    return thread if owner is None else f"{thread}/{owner}"


def threads_seen(app: str, owner: str, sender: str, recipient: str) -> Sequence[str]:
    """The threads in which `owner` sees what `sender` wrote to `recipient`: shared ones, and his own alone."""
    thread = f"{app}/{sender}/{recipient}"
    return [thread, f"{thread}/{owner}"]


def position_document(position: Position) -> Document:
    """A position as a sub-document: servers compare those field by field, in this order."""
    return {"ms": max(-1, min(position.timestamp_ms, MAX_INTEGER)), "id": position.message_id}


def position_of(document: Mapping[str, Any]) -> Position:
    """The position of a sub-document."""
    return Position(document["ms"], document["id"])


def behind(position: Position, *, ms: str, tie: str, is_older: bool) -> Sequence[Document]:
    """Conditions for what is older (or newer) than a position: a bound for the index, then the tie of one millisecond.

    `ms` and `tie` name the fields of the timestamp and of the message id.
    """
    bound = position_document(position)
    loose, strict = ("$lte", "$lt") if is_older else ("$gte", "$gt")
    return [{ms: {loose: bound["ms"]}}, {"$or": [{ms: {strict: bound["ms"]}}, {tie: {strict: bound["id"]}}]}]
