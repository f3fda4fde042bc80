"""The tables of the SQLite store, one step a version; docs/storage.md explains them.

A new file goes through every step, an old one through those that it lacks: the way forward is the only way.
A step that was released is never changed.
"""

import sqlite3

from observer.errors import ConfigError
from observer.store.schema import check_version

APPLICATION_ID = 0x696E626F  # "inbo": marks the file as ours, beside the version

_FIRST = """
-- Keyed by place (shard, offset): the fence against a second writer, and new rows always go to the end of a shard.
-- The body stands last: whatever is read without it does not touch the pages that a long one spills to.
CREATE TABLE messages (
    place INTEGER PRIMARY KEY,
    message_id NOT NULL UNIQUE,
    app TEXT NOT NULL,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    sole_owner TEXT NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    client_message_id TEXT,
    client_timestamp_ms INTEGER,
    fingerprint TEXT,
    body BLOB NOT NULL
);
-- One thread a direction and audience: what a recipient may not see lies elsewhere and costs his reads nothing.
CREATE INDEX messages_by_thread ON messages (app, sender, recipient, sole_owner, timestamp_ms, message_id);

CREATE TABLE timelines (
    app TEXT NOT NULL,
    owner TEXT NOT NULL,
    place INTEGER NOT NULL,
    PRIMARY KEY (app, owner, place)
) WITHOUT ROWID;

-- How an owner stands to a peer. `last_*` is null until there is a message in the owner's timeline.
CREATE TABLE peers (
    app TEXT NOT NULL,
    owner TEXT NOT NULL,
    peer TEXT NOT NULL,
    last_ms INTEGER,
    last_id,
    last_place INTEGER,
    read_ms INTEGER,
    read_id,
    blocked_since_ms INTEGER,
    contact_since_ms INTEGER,
    written_since_ms INTEGER,
    PRIMARY KEY (app, owner, peer)
) WITHOUT ROWID;
CREATE INDEX peers_by_last ON peers (app, owner, last_ms, last_id) WHERE last_ms IS NOT NULL;
CREATE INDEX peers_blocked ON peers (app, owner, peer) WHERE blocked_since_ms IS NOT NULL;
CREATE INDEX peers_contacts ON peers (app, owner, peer)
    WHERE contact_since_ms IS NOT NULL OR written_since_ms IS NOT NULL;

CREATE TABLE users (
    app TEXT NOT NULL,
    user TEXT NOT NULL,
    who_may_write TEXT,
    PRIMARY KEY (app, user)
) WITHOUT ROWID;

CREATE TABLE bans (
    app TEXT NOT NULL,
    user TEXT NOT NULL,
    until_ms INTEGER,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (app, user)
) WITHOUT ROWID;
"""
_SECOND = """
ALTER TABLE users ADD COLUMN profile TEXT;
"""
STEPS = (_FIRST, _SECOND)
VERSION = len(STEPS)


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Bring the file to VERSION, all or nothing.

    Raises ConfigError for a newer version and for a database that is not ours; sqlite3.Error as it comes.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection, name)
        check_version(version, VERSION, name)
        for step in STEPS[version:]:
            for statement in step.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(connection: sqlite3.Connection, name: str) -> int:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0:
        return 0
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ConfigError(f"store.url: {name} is an SQLite database of another program; name another file")
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
