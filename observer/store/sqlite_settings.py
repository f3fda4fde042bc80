"""What users and administrators set, written to and read from SQLite: functions of a connection."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from observer.store.base import BanEntry, Peer
from policies.base import Ban, Privacy, WhoMayWrite

_SET_SINCE = """
INSERT INTO peers (app, owner, peer, {since}) VALUES (?, ?, ?, ?)
ON CONFLICT (app, owner, peer) DO UPDATE SET {since} = excluded.{since} WHERE {since} IS NULL
"""
_BLOCK = _SET_SINCE.format(since="blocked_since_ms")
_UNBLOCK = "UPDATE peers SET blocked_since_ms = NULL WHERE app = ? AND owner = ? AND peer = ?"
_NAME_CONTACT = _SET_SINCE.format(since="contact_since_ms")
_FORGET_CONTACT = (
    "UPDATE peers SET contact_since_ms = NULL, written_since_ms = NULL WHERE app = ? AND owner = ? AND peer = ?"
)


def set_blocked(connection: sqlite3.Connection, app: str, owner: str, peer: str, is_blocked: bool, now_ms: int) -> None:
    """Block or unblock a peer; one who is blocked already keeps the time of his blocking."""
    if is_blocked:
        connection.execute(_BLOCK, (app, owner, peer, now_ms))
    else:
        connection.execute(_UNBLOCK, (app, owner, peer))


def set_contact(connection: sqlite3.Connection, app: str, owner: str, peer: str, is_contact: bool, now_ms: int) -> None:
    """Name or un-name a contact; one who is named already keeps the time of his naming."""
    if is_contact:
        connection.execute(_NAME_CONTACT, (app, owner, peer, now_ms))
    else:
        connection.execute(_FORGET_CONTACT, (app, owner, peer))


def set_privacy(connection: sqlite3.Connection, app: str, user: str, privacy: Privacy) -> None:
    """Keep a user's privacy settings."""
    connection.execute(
        """
        INSERT INTO users (app, user, who_may_write) VALUES (?, ?, ?)
        ON CONFLICT (app, user) DO UPDATE SET who_may_write = excluded.who_may_write
        """,
        (app, user, privacy.who_may_write.value),
    )


def set_profile(connection: sqlite3.Connection, app: str, user: str, profile: Mapping[str, Any]) -> None:
    """Keep a user's public profile."""
    connection.execute(
        """
        INSERT INTO users (app, user, profile) VALUES (?, ?, ?)
        ON CONFLICT (app, user) DO UPDATE SET profile = excluded.profile
        """,
        (app, user, orjson.dumps(profile).decode()),
    )


def set_ban(connection: sqlite3.Connection, app: str, user: str, ban: Ban, *, by: str, now_ms: int) -> None:
    """Ban a user, in place of an earlier ban."""
    connection.execute(
        "INSERT OR REPLACE INTO bans (app, user, until_ms, reason, by, since_ms) VALUES (?, ?, ?, ?, ?, ?)",
        (app, user, ban.until_ms, ban.reason, by, now_ms),
    )


def lift_ban(connection: sqlite3.Connection, app: str, user: str) -> bool:
    """End a ban; whether there was one."""
    return connection.execute("DELETE FROM bans WHERE app = ? AND user = ?", (app, user)).rowcount > 0


def blocked(connection: sqlite3.Connection, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
    """Whom an owner has blocked."""
    rows = connection.execute(
        """
        SELECT peer, blocked_since_ms FROM peers INDEXED BY peers_blocked
        WHERE app = ? AND owner = ? AND peer > ? AND blocked_since_ms IS NOT NULL ORDER BY peer LIMIT ?
        """,
        (app, owner, after, limit),
    )
    return [Peer(*row) for row in rows]


def contacts(connection: sqlite3.Connection, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
    """Whom an owner has named, or has written to: since when, whichever came first."""
    rows = connection.execute(
        """
        SELECT peer, min(coalesce(contact_since_ms, written_since_ms), coalesce(written_since_ms, contact_since_ms))
        FROM peers INDEXED BY peers_contacts WHERE app = ? AND owner = ? AND peer > ?
        AND (contact_since_ms IS NOT NULL OR written_since_ms IS NOT NULL) ORDER BY peer LIMIT ?
        """,
        (app, owner, after, limit),
    )
    return [Peer(*row) for row in rows]


def privacy(connection: sqlite3.Connection, app: str, user: str) -> Privacy | None:
    """A user's privacy settings."""
    row = connection.execute("SELECT who_may_write FROM users WHERE app = ? AND user = ?", (app, user)).fetchone()
    return None if row is None or row[0] is None else Privacy(WhoMayWrite(row[0]))


def ban(connection: sqlite3.Connection, app: str, user: str) -> Ban | None:
    """A user's ban."""
    row = connection.execute("SELECT until_ms, reason FROM bans WHERE app = ? AND user = ?", (app, user)).fetchone()
    return Ban(*row) if row else None


def bans(connection: sqlite3.Connection, app: str, *, after: str, limit: int) -> Sequence[BanEntry]:
    """The bans of an app."""
    rows = connection.execute(
        "SELECT user, until_ms, reason, by, since_ms FROM bans WHERE app = ? AND user > ? ORDER BY user LIMIT ?",
        (app, after, limit),
    )
    return [BanEntry(user, Ban(until_ms, reason), by, since_ms) for user, until_ms, reason, by, since_ms in rows]


def profile(connection: sqlite3.Connection, app: str, user: str) -> Mapping[str, Any] | None:
    """A user's public profile."""
    row = connection.execute("SELECT profile FROM users WHERE app = ? AND user = ?", (app, user)).fetchone()
    return None if row is None or row[0] is None else orjson.loads(row[0])
