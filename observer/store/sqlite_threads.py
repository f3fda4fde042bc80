"""The threads on which SQLite works, so that the event loop never waits for a disk.

One thread writes: what waits at the same moment is committed together, with one fsync for all of it.
Readers have connections of their own; in WAL mode they neither wait for the writer nor keep it waiting, and a
statement sees every commit before it.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], object]
_GROUP_LIMIT = 64


class ReadThreads:
    """A few threads, each with a read connection."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], count: int) -> None:
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._connect = connect
        self._pool = ThreadPoolExecutor(count, "sqlite-read")

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work(connection)` on one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._call, work)

    def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if not hasattr(self._local, "connection"):
            self._local.connection = self._connect()
            self._connections.append(self._local.connection)
        return work(self._local.connection)

    def close(self) -> None:
        """Wait for what is running, and close the connections."""
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()


class WriteThread:
    """The one thread that writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Work, asyncio.Future[object]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="sqlite-write", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work(connection)`, once it is committed and on disk; its exception if it raised."""
        future = self._loop.create_future()
        self._jobs.put((work, future))
        result: T = await future
        return result

    def close(self) -> None:
        """Finish what is waiting, and close the connection; blocks."""
        self._jobs.put(None)
        self._thread.join()

    def _serve(self) -> None:
        is_open = True
        while is_open:
            group = [self._jobs.get()]
            while not self._jobs.empty() and len(group) < _GROUP_LIMIT:
                group.append(self._jobs.get())
            jobs = [job for job in group if job is not None]
            is_open = len(jobs) == len(group)
            outcomes = commit_together(self._connection, [work for work, _ in jobs])
            futures = [future for _, future in jobs]
            self._loop.call_soon_threadsafe(_resolve, futures, outcomes)
        self._connection.close()


def commit_together(connection: sqlite3.Connection, works: Sequence[Work]) -> Sequence[object]:
    """Do all of `works` in one transaction; what each returned, or the exception by which it failed.

    One that fails is undone alone. If the transaction fails, nothing is done, and all get that error.
    """
    try:
        _roll_back(connection)  # again, if it failed the last time
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [_attempt(connection, work) for work in works]
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            _roll_back(connection)
        return [error] * len(works)
    return outcomes


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _attempt(connection: sqlite3.Connection, work: Work) -> object:
    connection.execute("SAVEPOINT work")
    try:
        outcome = work(connection)
    except Exception as error:  # whatever it is, it belongs to the one who waits for this work
        if not connection.in_transaction:
            raise  # SQLite gave up the whole transaction (disk full, input/output error)
        connection.execute("ROLLBACK TO work")
        outcome = error
    connection.execute("RELEASE work")
    return outcome


def _resolve(futures: Sequence[asyncio.Future[object]], outcomes: Sequence[object]) -> None:
    for future, outcome in zip(futures, outcomes, strict=True):
        if future.done():  # the waiter was cancelled
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
