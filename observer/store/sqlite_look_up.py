"""What the pipeline reads from SQLite, on its own read thread: functions of a connection.

Answers that nearly always exist come back as one row: each row handed out would cost a change of Python's global lock.
"""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from observer.message import Message
from observer.store.base import Found, Query, ShardPosition
from observer.store.place import MAX_OFFSET, offset_of, place_of
from observer.store.sqlite_rows import MESSAGE_COLUMNS, key_of, message_of
from policies.base import Ban, Privacy, Relation, WhoMayWrite

_IDS_A_STATEMENT = 512
_BANS = """
SELECT asked.key, until_ms, reason FROM json_each(?) AS asked CROSS JOIN bans
ON app = json_extract(asked.value, '$[0]') AND user = json_extract(asked.value, '$[1]')
"""
_PRIVACY = """
SELECT asked.key, who_may_write FROM json_each(?) AS asked CROSS JOIN users
ON app = json_extract(asked.value, '$[0]') AND user = json_extract(asked.value, '$[1]')
WHERE who_may_write IS NOT NULL
"""
# A number a relation: the index of the question * 4 + flags.
_RELATIONS = """
SELECT json_group_array(
    asked.key * 4 + 2 * (blocked_since_ms IS NOT NULL)
    + (contact_since_ms IS NOT NULL OR written_since_ms IS NOT NULL)
) FROM json_each(?) AS asked CROSS JOIN peers
ON app = json_extract(asked.value, '$[0]') AND owner = json_extract(asked.value, '$[1]')
AND peer = json_extract(asked.value, '$[2]')
"""
_RELATION_OF_FLAGS = tuple(Relation(is_blocked=bool(flags & 2), is_contact=bool(flags & 1)) for flags in range(4))


def shard_position(connection: sqlite3.Connection, shard: int) -> ShardPosition:
    """Where the shard's writer goes on."""
    last = connection.execute(
        "SELECT place, timestamp_ms FROM messages WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1",
        (place_of(shard, 0), place_of(shard, MAX_OFFSET)),
    ).fetchone()
    return ShardPosition(offset_of(last[0]) + 1, last[1]) if last else ShardPosition(0, 0)


def look_up(connection: sqlite3.Connection, query: Query) -> Found:
    """The answer to a query: one statement a kind of fact that is asked for."""
    return Found(
        messages=_messages(connection, tuple(query.message_ids)),
        bans={pair: Ban(*rest) for pair, *rest in _asked(connection, _BANS, query.senders)},
        privacy={pair: Privacy(WhoMayWrite(who)) for pair, who in _asked(connection, _PRIVACY, query.recipients)},
        relations=_relations(connection, tuple(query.relations)),
    )


def _messages(connection: sqlite3.Connection, ids: Sequence[str]) -> Mapping[str, Message]:
    found = {}
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        keys: list[object] = [key_of(message_id) for message_id in ids[start : start + _IDS_A_STATEMENT]]
        size = 1 << (len(keys) - 1).bit_length()  # few sizes, so that every statement stays prepared
        keys += [None] * (size - len(keys))
        marks = ",".join("?" * size)
        for row in connection.execute(f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE message_id IN ({marks})", keys):  # noqa: S608
            message = message_of(row)
            found[message.message_id] = message
    return found


def _asked(
    connection: sqlite3.Connection, statement: str, pairs: Collection[tuple[str, str]]
) -> Sequence[tuple[Any, ...]]:
    if not pairs:
        return ()
    asked = tuple(pairs)
    rows = connection.execute(statement, (orjson.dumps(asked).decode(),)).fetchall()
    return [(asked[key], *rest) for key, *rest in rows]


def _relations(
    connection: sqlite3.Connection, asked: Sequence[tuple[str, str, str]]
) -> Mapping[tuple[str, str, str], Relation]:
    if not asked:
        return {}
    [answer] = connection.execute(_RELATIONS, (orjson.dumps(asked).decode(),)).fetchone()
    return {asked[code >> 2]: _RELATION_OF_FLAGS[code & 3] for code in orjson.loads(answer)}


def find_repeats(
    connection: sqlite3.Connection, shard: int, fingerprints: Collection[str], among_last: int
) -> Sequence[Message]:
    """The last messages of the shard that carry one of the fingerprints, oldest first."""
    rows = connection.execute(
        f"""
        SELECT {MESSAGE_COLUMNS} FROM messages WHERE place <= :end AND place >= (
            SELECT min(place) FROM (
                SELECT place FROM messages WHERE place BETWEEN :start AND :end ORDER BY place DESC LIMIT :count
            )
        ) AND fingerprint IN (SELECT value FROM json_each(:fingerprints)) ORDER BY place
        """,  # noqa: S608
        {
            "start": place_of(shard, 0),
            "end": place_of(shard, MAX_OFFSET),
            "count": among_last,
            "fingerprints": orjson.dumps(list(fingerprints)).decode(),
        },
    )
    return [message_of(row) for row in rows]
