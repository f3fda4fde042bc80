"""How a message is spelt in SQLite rows: its place, its id, whose it is."""

import re
from collections.abc import Sequence
from typing import Any, TypeAlias

from observer.message import Message, sole_owner
from observer.store.base import Position
from observer.store.place import MAX_INTEGER, offset_of, place_of, shard_of

Row: TypeAlias = tuple[Any, ...]

SHARED = ""
"""`sole_owner` of a message that is in the timelines of both its sender and its recipient."""
MESSAGE_COLUMNS = (
    "place, message_id, app, sender, recipient, sole_owner, timestamp_ms, "
    "client_message_id, client_timestamp_ms, fingerprint, body"
)
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def key_of(message_id: str) -> bytes | str:
    """A message id as a key: a UUID as its 16 bytes (they sort as its text does), anything else as it is."""
    return bytes.fromhex(message_id.replace("-", "")) if _UUID.fullmatch(message_id) else message_id


def id_of(key: bytes | str) -> str:
    """The message id of a key."""
    if isinstance(key, str):
        return key
    text = key.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def bound_of(position: Position) -> tuple[int, bytes | str]:
    """A position as SQLite compares it; what no stored message can reach is cut to the range of an integer."""
    return max(-1, min(position.timestamp_ms, MAX_INTEGER)), key_of(position.message_id)


def row_of(message: Message) -> Row:
    """The row of a message, in the order of MESSAGE_COLUMNS."""
    return (
        place_of(message.shard, message.offset),
        key_of(message.message_id),
        message.app,
        message.sender,
        message.recipient,
        sole_owner(message) or SHARED,
        message.timestamp_ms,
        message.client_message_id,
        message.client_timestamp_ms,
        message.fingerprint,
        message.body,
    )


def message_of(row: Sequence[Any]) -> Message:
    """The message of a row that begins with MESSAGE_COLUMNS."""
    place, key, app, sender, recipient, sole_owner, timestamp_ms, client_id, client_ms, fingerprint, body = row[:11]
    return Message(
        message_id=id_of(key),
        app=app,
        sender=sender,
        recipient=recipient,
        body=body,
        timestamp_ms=timestamp_ms,
        owners=(sender, recipient) if sole_owner == SHARED else (sole_owner,),
        shard=shard_of(place),
        offset=offset_of(place),
        client_message_id=client_id,
        client_timestamp_ms=client_ms,
        fingerprint=fingerprint,
    )
