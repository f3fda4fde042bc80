"""Messages and read markers on their way into SQLite: functions of a connection, called on the write thread.

A batch is written with few, long statements: each lets go of Python's global lock once and works beside the event
loop; a statement a row would ask for the lock back thousands of times a second.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from observer.errors import ShardLost, StoreUnavailable
from observer.message import Message, peer_of
from observer.store.base import Position
from observer.store.place import place_of
from observer.store.sqlite_rows import MESSAGE_COLUMNS, Row, bound_of, key_of, row_of

_ROWS_A_STATEMENT = (128, 16, 1)  # a few sizes only, so that every statement stays prepared
_INSERT_MESSAGES = f"INSERT INTO messages ({MESSAGE_COLUMNS}) VALUES "  # noqa: S608  a constant
_INSERT_TIMELINES = """
INSERT OR IGNORE INTO timelines (app, owner, place)
SELECT app, sender, place FROM messages WHERE place BETWEEN ? AND ? AND sole_owner IN ('', sender)
UNION ALL
SELECT app, recipient, place FROM messages WHERE place BETWEEN ? AND ? AND sole_owner IN ('', recipient)
"""
# Apart from the conversations, because it nearly always finds its row as it should be and then writes nothing.
_MARK_WRITTEN = """
INSERT INTO peers (app, owner, peer, written_since_ms)
SELECT app, sender, recipient, timestamp_ms FROM messages WHERE place BETWEEN ? AND ?
ON CONFLICT (app, owner, peer) DO UPDATE SET written_since_ms = excluded.written_since_ms WHERE written_since_ms IS NULL
"""
_MOVE_CONVERSATIONS = "INSERT INTO peers (app, owner, peer, last_ms, last_id, last_place) VALUES "
_NEWER_WINS = """
ON CONFLICT (app, owner, peer) DO UPDATE
SET last_ms = excluded.last_ms, last_id = excluded.last_id, last_place = excluded.last_place
WHERE last_ms IS NULL OR (excluded.last_ms, excluded.last_id) > (last_ms, last_id)
"""


def save(connection: sqlite3.Connection, messages: Sequence[Message]) -> None:
    """Store messages, their timelines and their conversations; raise ShardLost if a place is taken."""
    rows = [row_of(message) for message in messages]
    try:
        _insert(connection, _INSERT_MESSAGES, rows)
    except sqlite3.IntegrityError:
        _insert(connection, _INSERT_MESSAGES, _missing(connection, messages))
    for _, of_shard in groupby(messages, key=attrgetter("shard")):
        places = [_place(message) for message in of_shard]
        span = (places[0], places[-1])
        connection.execute(_INSERT_TIMELINES, (*span, *span))
        connection.execute(_MARK_WRITTEN, span)
    _insert(connection, _MOVE_CONVERSATIONS, _last_messages(messages), _NEWER_WINS)


def _insert(connection: sqlite3.Connection, head: str, rows: Sequence[Row], tail: str = "") -> None:
    start = 0
    for size in _ROWS_A_STATEMENT:
        while len(rows) - start >= size:
            part = rows[start : start + size]
            values = ",".join(["(" + ",".join("?" * len(part[0])) + ")"] * size)
            connection.execute(head + values + tail, [value for row in part for value in row])
            start += size


def _missing(connection: sqlite3.Connection, messages: Sequence[Message]) -> Sequence[Row]:
    """The rows of those that are not stored yet. Raises ShardLost, StoreUnavailable (see MessageStore.save)."""
    missing = []
    for message in messages:
        row = row_of(message)
        found = connection.execute(
            "SELECT place, message_id, sole_owner, timestamp_ms FROM messages WHERE place = ? OR message_id = ?",
            row[:2],
        ).fetchall()
        if any(place == row[0] and key != row[1] for place, key, *_ in found):
            raise ShardLost(f"offset {message.offset} of shard {message.shard} is taken by another message")
        if not found:
            missing.append(row)
        elif found[0] != (*row[:2], *row[5:7]):
            # One client id, two recipients: it came through another shard. Or a save that was given up came through
            # after all, with another time or verdict. The next look-up knows what is stored; only that may be shown.
            raise StoreUnavailable(f"message {message.message_id} was stored otherwise meanwhile")
    return missing


def _place(message: Message) -> int:
    return place_of(message.shard, message.offset)


def _last_messages(messages: Iterable[Message]) -> Sequence[Row]:
    """The newest message of each (app, owner, peer), as a row of `peers`."""
    last: dict[tuple[str, str, str], Message] = {}
    for message in messages:
        for owner in message.owners:
            key = message.app, owner, peer_of(message, owner)
            known = last.setdefault(key, message)
            if (known.timestamp_ms, known.message_id) < (message.timestamp_ms, message.message_id):
                last[key] = message
    return [(*key, m.timestamp_ms, key_of(m.message_id), _place(m)) for key, m in last.items()]


def mark_read(connection: sqlite3.Connection, app: str, owner: str, peer: str, up_to: Position) -> None:
    """Move the read marker, forward only."""
    connection.execute(
        """
        INSERT INTO peers (app, owner, peer, read_ms, read_id) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (app, owner, peer) DO UPDATE SET read_ms = excluded.read_ms, read_id = excluded.read_id
        WHERE read_ms IS NULL OR (excluded.read_ms, excluded.read_id) > (read_ms, read_id)
        """,
        (app, owner, peer, *bound_of(up_to)),
    )
