"""The threads on which SQLite works, so that the event loop never waits for a disk.

One thread writes: what waits at the same moment is committed together, with one fsync for all of it.
Readers have connections of their own; in WAL mode they neither wait for the writer nor keep it waiting, and a
statement sees every commit before it.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Work: TypeAlias = Callable[[sqlite3.Connection], object]
_GROUP_LIMIT = 64


class WorkThreads:
    """Threads that take their work from one queue, each with a connection of its own.

    Not a pool of the standard library's: waking one of those costs the event loop twice as much.
    """

    def __init__(
        self,
        connections: Sequence[sqlite3.Connection],
        perform: Callable[[sqlite3.Connection, Sequence[Work]], Sequence[object]],
        *,
        together: int,
    ) -> None:
        """`perform` is given up to `together` works that wait, and returns the outcome of each, an exception if so."""
        self._perform = perform
        self._together = together
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[Work, asyncio.Future[object]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, args=(connection,), name="sqlite", daemon=True)
            for connection in connections
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """The result of `work(connection)` on one of the threads; its exception if it raised."""
        future = self._loop.create_future()
        self._jobs.put((work, future))
        result: T = await future
        return result

    def close(self) -> None:
        """Finish what is waiting, and close the connections; blocks."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _serve(self, connection: sqlite3.Connection) -> None:
        while jobs := self._next_jobs():
            outcomes = self._perform(connection, [work for work, _ in jobs])
            self._loop.call_soon_threadsafe(_resolve, [future for _, future in jobs], outcomes)
        connection.close()

    def _next_jobs(self) -> Sequence[tuple[Work, asyncio.Future[object]]]:
        """What waits, at least one; none when it is time to end."""
        jobs: list[tuple[Work, asyncio.Future[object]]] = []
        while not jobs or (len(jobs) < self._together and not self._jobs.empty()):
            job = self._jobs.get()
            if job is None:
                if jobs:
                    self._jobs.put(None)  # for the next time
                break
            jobs.append(job)
        return jobs


def write_thread(connection: sqlite3.Connection) -> WorkThreads:
    """The one thread that writes: a work is done once it is committed and on disk."""
    return WorkThreads([connection], commit_together, together=_GROUP_LIMIT)


def read_threads(connections: Sequence[sqlite3.Connection]) -> WorkThreads:
    """A thread for each of these connections, which only read."""
    return WorkThreads(connections, _read_each, together=1)


def _read_each(connection: sqlite3.Connection, works: Sequence[Work]) -> Sequence[object]:
    return [_outcome(connection, work) for work in works]


def _outcome(connection: sqlite3.Connection, work: Work) -> object:
    try:
        return work(connection)
    except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the one who waits for this work
        return error


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
