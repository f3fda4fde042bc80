"""What one user reads of his messages in SQLite: functions of a connection, called on a read thread.

Each is one statement or a few short ones on an index, and what a user may not see is never read at all.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from observer.message import Message
from observer.store.base import (
    UNREAD_LIMIT,
    Conversation,
    Page,
    Position,
)
from observer.store.place import MAX_INTEGER, offset_of, place_of, shard_of, unseen
from observer.store.sqlite_rows import MESSAGE_COLUMNS, Row, bound_of, id_of, key_of, message_of

_MESSAGE = ", ".join(f"m.{column}" for column in MESSAGE_COLUMNS.split(", "))
_CONVERSATIONS = f"""
SELECT {_MESSAGE}, p.peer, p.read_ms, p.read_id, (
    SELECT count(*) FROM (
        SELECT 1 FROM messages AS u
        WHERE u.app = p.app AND u.sender = p.peer AND u.recipient = p.owner AND p.peer <> p.owner
        AND u.sole_owner IN ('', p.owner)
        AND (u.timestamp_ms, u.message_id) > (coalesce(p.read_ms, -1), coalesce(p.read_id, ''))
        LIMIT {UNREAD_LIMIT}
    )
) FROM peers AS p CROSS JOIN messages AS m ON m.place = p.last_place
WHERE p.app = ? AND p.owner = ? AND p.last_ms IS NOT NULL
"""  # noqa: S608  constants


def timeline(connection: sqlite3.Connection, app: str, owner: str, after: Mapping[int, int], limit: int) -> Page:
    """What came into a timeline behind these offsets, by shard and offset."""
    found: list[Message] = []
    for first, last in unseen(after):
        rows = connection.execute(
            f"""
            SELECT {_MESSAGE} FROM timelines AS t CROSS JOIN messages AS m ON m.place = t.place
            WHERE t.app = ? AND t.owner = ? AND t.place BETWEEN ? AND ? ORDER BY t.place LIMIT ?
            """,  # noqa: S608
            (app, owner, first, last, limit + 1 - len(found)),
        )
        found += map(message_of, rows)
        if len(found) > limit:
            break
    return Page(tuple(found[:limit]), len(found) > limit)


def heads(connection: sqlite3.Connection, app: str, owner: str) -> Mapping[int, int]:
    """The highest offset of each shard in a timeline: one step down the index a shard."""
    found: dict[int, int] = {}
    below = MAX_INTEGER
    while True:
        [place] = connection.execute(
            "SELECT max(place) FROM timelines WHERE app = ? AND owner = ? AND place < ?", (app, owner, below)
        ).fetchone()
        if place is None:
            return found
        found[shard_of(place)] = offset_of(place)
        below = place_of(shard_of(place), 0)


def history(
    connection: sqlite3.Connection,
    app: str,
    owner: str,
    peer: str,
    *,
    before: Position | None,
    after: Position | None,
    limit: int,
) -> Page:
    """A piece of a conversation: the threads of both directions, each read in its order and cut, then merged."""
    order = "DESC" if after is None else "ASC"
    bounds: list[object] = []
    condition = ""
    for position, sign in ((before, "<"), (after, ">")):
        if position is not None:
            condition += f" AND (timestamp_ms, message_id) {sign} (?, ?)"
            bounds += bound_of(position)
    by_position = f"ORDER BY timestamp_ms {order}, message_id {order} LIMIT {int(limit) + 1}"
    branch = f"""SELECT * FROM (
        SELECT place, timestamp_ms, message_id FROM messages
        WHERE app = ? AND sender = ? AND recipient = ? AND sole_owner = ?{condition} {by_position}
    )"""  # noqa: S608
    threads = dict.fromkeys((one, other, sole) for one, other in ((owner, peer), (peer, owner)) for sole in ("", owner))
    picked = " UNION ALL ".join([branch] * len(threads))
    # CROSS JOIN: SQLite keeps the order of the left side.
    rows = connection.execute(
        f"SELECT {_MESSAGE} FROM ({picked} {by_position}) AS picked CROSS JOIN messages AS m ON m.place = picked.place",  # noqa: S608
        [value for thread in threads for value in (app, *thread, *bounds)],
    ).fetchall()
    messages = tuple(message_of(row) for row in rows[:limit])
    return Page(messages if after is not None else messages[::-1], len(rows) > limit)


def find_message(connection: sqlite3.Connection, app: str, owner: str, message_id: str) -> Message | None:
    """The message if it is in the owner's timeline."""
    row = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE message_id = ? AND app = ?",  # noqa: S608
        (key_of(message_id), app),
    ).fetchone()
    message = message_of(row) if row else None
    return message if message and owner in message.owners else None


def conversations(
    connection: sqlite3.Connection, app: str, owner: str, *, before: Position | None, limit: int
) -> Sequence[Conversation]:
    """An owner's conversations, newest first."""
    older = "" if before is None else "AND (p.last_ms, p.last_id) < (?, ?)"
    rows = connection.execute(
        f"{_CONVERSATIONS} {older} ORDER BY p.last_ms DESC, p.last_id DESC LIMIT ?",
        (app, owner, *(bound_of(before) if before else ()), limit),
    )
    return [_conversation(app, owner, row) for row in rows]


def conversation(connection: sqlite3.Connection, app: str, owner: str, peer: str) -> Conversation | None:
    """One conversation of an owner, if it has a message."""
    row = connection.execute(f"{_CONVERSATIONS} AND p.peer = ?", (app, owner, peer)).fetchone()
    return _conversation(app, owner, row) if row else None


def _conversation(app: str, owner: str, row: Row) -> Conversation:
    peer, read_ms, read_id, unread = row[-4:]
    read_up_to = None if read_ms is None else Position(read_ms, id_of(read_id))
    return Conversation(app, owner, peer, message_of(row), unread, read_up_to)
