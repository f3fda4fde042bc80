"""Cursors of history and of the conversation list: an opaque word for a place between two messages."""

import orjson

from observer.api.opaque import decode_opaque, encode_opaque
from observer.api.problems import Problem
from observer.message import Message
from observer.store.base import Position

_VERSION = 1
_MAX_TIMESTAMP_MS = 2**53


def position_of(message: Message) -> Position:
    """Where the message stands in its conversation."""
    return Position(message.timestamp_ms, message.message_id)


def encode_cursor(position: Position) -> str:
    """A cursor that stands for `position`."""
    return encode_opaque(orjson.dumps([_VERSION, position.timestamp_ms, position.message_id]))


def decode_cursor(cursor: str) -> Position:
    """The position behind a cursor; raises Problem (`invalid_cursor`) for anything that we did not make."""
    try:
        values = orjson.loads(decode_opaque(cursor))
    except ValueError as error:
        raise _invalid() from error
    match values:
        case [1, int(timestamp_ms), str(message_id)] if 0 <= timestamp_ms <= _MAX_TIMESTAMP_MS:
            return Position(timestamp_ms, message_id)
        case _:
            raise _invalid()


def _invalid() -> Problem:
    return Problem("invalid_cursor", "Use a cursor as an answer of this route gave it, unchanged.")
