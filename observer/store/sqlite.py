"""The store in one SQLite file: the embedded default, for one process (docs/storage.md)."""

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from observer.errors import StoreUnavailable
from observer.message import Message
from observer.store import sqlite_look_up, sqlite_read, sqlite_save, sqlite_settings
from observer.store.base import BanEntry, Conversation, Found, Page, Peer, Position, Query, ShardPosition
from observer.store.sqlite_file import FileLock, connect_reader, connect_writer, opening_error, unavailable
from observer.store.sqlite_schema import VERSION, migrate
from observer.store.sqlite_threads import WorkThreads, read_threads, write_thread
from policies.base import Ban, Privacy

P = ParamSpec("P")
T = TypeVar("T")
_READERS = 3


class SqliteStore:
    """`observer.store.base.Store` on a file."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._lock: FileLock | None = None
        self._writer: WorkThreads | None = None
        self._look_ups: WorkThreads | None = None
        self._reads: WorkThreads | None = None

    async def open(self) -> None:
        """Lock the file, bring its schema to this version, start the threads.

        Raises ConfigError for a file in use, damaged, foreign or newer; StoreUnavailable for a full disk.
        """
        self._lock, writer, readers = await asyncio.to_thread(self._open_file)
        self._writer = write_thread(writer)
        self._look_ups = read_threads(readers[:1])  # the pipeline's own: never behind a user's long read
        self._reads = read_threads(readers[1:])

    def _open_file(self) -> tuple[FileLock, sqlite3.Connection, Sequence[sqlite3.Connection]]:
        """The lock, the connection that writes, and those that read."""
        with ExitStack() as undo:
            lock = FileLock(self._path)
            undo.callback(lock.release)
            try:
                writer = connect_writer(self._path, self._timeout_s)
                undo.callback(writer.close)
                migrate(writer, str(self._path))
                readers = []
                for _ in range(_READERS):
                    readers.append(connect_reader(self._path, self._timeout_s))
                    undo.callback(readers[-1].close)
            except sqlite3.Error as error:
                raise opening_error(error, self._path) from error
            undo.pop_all()
        return lock, writer, readers

    async def close(self) -> None:
        """Finish what is being written, close the file, give the lock back."""
        threads = [pool for pool in (self._look_ups, self._reads, self._writer) if pool is not None]
        self._look_ups = self._reads = self._writer = None
        for pool in threads:  # the writer last: the last connection to close empties the log into the file
            await asyncio.to_thread(pool.close)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def ping(self) -> None:
        """Return once something was written to the disk."""
        await self._write(lambda connection: connection.execute(f"PRAGMA user_version = {VERSION}").fetchall())

    async def _write(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._done(self._writer, lambda connection: work(connection, *args, **kwargs))

    async def _read(
        self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._done(self._reads, lambda connection: work(connection, *args, **kwargs))

    async def _done(self, threads: WorkThreads | None, work: Callable[[sqlite3.Connection], T]) -> T:
        if threads is None:
            raise StoreUnavailable(f"the store {self._path} is not open")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await threads.run(work)
        except TimeoutError as error:
            raise StoreUnavailable(f"SQLite did not answer within {self._timeout_s} s on {self._path}") from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                raise unavailable(error, self._path) from error
            raise  # a mistake of ours, not of the disk

    # What the pipeline needs.

    async def shard_position(self, shard: int) -> ShardPosition:
        """See MessageStore."""
        return await self._read(sqlite_look_up.shard_position, shard)

    async def look_up(self, query: Query) -> Found:
        """See MessageStore."""
        return await self._done(self._look_ups, lambda connection: sqlite_look_up.look_up(connection, query))

    async def find_repeats(self, shard: int, fingerprints: Collection[str], among_last: int) -> Sequence[Message]:
        """See MessageStore."""
        return await self._read(sqlite_look_up.find_repeats, shard, fingerprints, among_last)

    async def save(self, messages: Sequence[Message], known: Sequence[Message]) -> None:
        """See MessageStore. `known` needs nothing: a message and its conversations are one transaction here."""
        if messages:
            await self._write(sqlite_save.save, messages)

    # Reading what is one user's.

    async def timeline(self, app: str, owner: str, after: Mapping[int, int], limit: int) -> Page:
        """See Store."""
        return await self._read(sqlite_read.timeline, app, owner, after, limit)

    async def heads(self, app: str, owner: str) -> Mapping[int, int]:
        """See Store."""
        return await self._read(sqlite_read.heads, app, owner)

    async def history(
        self, app: str, owner: str, peer: str, *, before: Position | None, after: Position | None, limit: int
    ) -> Page:
        """See Store."""
        return await self._read(sqlite_read.history, app, owner, peer, before=before, after=after, limit=limit)

    async def find_message(self, app: str, owner: str, message_id: str) -> Message | None:
        """See Store."""
        return await self._read(sqlite_read.find_message, app, owner, message_id)

    async def conversations(
        self, app: str, owner: str, *, before: Position | None, limit: int
    ) -> Sequence[Conversation]:
        """See Store."""
        return await self._read(sqlite_read.conversations, app, owner, before=before, limit=limit)

    async def conversation(self, app: str, owner: str, peer: str) -> Conversation | None:
        """See Store."""
        return await self._read(sqlite_read.conversation, app, owner, peer)

    async def mark_read(self, app: str, owner: str, peer: str, up_to: Position) -> None:
        """See Store."""
        await self._write(sqlite_save.mark_read, app, owner, peer, up_to)

    # Settings.

    async def set_blocked(self, app: str, owner: str, peer: str, is_blocked: bool, now_ms: int) -> None:
        """See Store."""
        await self._write(sqlite_settings.set_blocked, app, owner, peer, is_blocked, now_ms)

    async def blocked(self, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
        """See Store."""
        return await self._read(sqlite_settings.blocked, app, owner, after=after, limit=limit)

    async def set_contact(self, app: str, owner: str, peer: str, is_contact: bool, now_ms: int) -> None:
        """See Store."""
        await self._write(sqlite_settings.set_contact, app, owner, peer, is_contact, now_ms)

    async def contacts(self, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
        """See Store."""
        return await self._read(sqlite_settings.contacts, app, owner, after=after, limit=limit)

    async def privacy(self, app: str, user: str) -> Privacy | None:
        """See Store."""
        return await self._read(sqlite_settings.privacy, app, user)

    async def set_privacy(self, app: str, user: str, privacy: Privacy) -> None:
        """See Store."""
        await self._write(sqlite_settings.set_privacy, app, user, privacy)

    async def set_ban(self, app: str, user: str, ban: Ban, *, by: str, now_ms: int) -> None:
        """See Store."""
        await self._write(sqlite_settings.set_ban, app, user, ban, by=by, now_ms=now_ms)

    async def lift_ban(self, app: str, user: str) -> bool:
        """See Store."""
        return await self._write(sqlite_settings.lift_ban, app, user)

    async def ban(self, app: str, user: str) -> Ban | None:
        """See Store."""
        return await self._read(sqlite_settings.ban, app, user)

    async def bans(self, app: str, *, after: str, limit: int) -> Sequence[BanEntry]:
        """See Store."""
        return await self._read(sqlite_settings.bans, app, after=after, limit=limit)

    async def profile(self, app: str, user: str) -> Mapping[str, Any] | None:
        """See Store."""
        return await self._read(sqlite_settings.profile, app, user)

    async def set_profile(self, app: str, user: str, profile: Mapping[str, Any]) -> None:
        """See Store."""
        await self._write(sqlite_settings.set_profile, app, user, profile)
