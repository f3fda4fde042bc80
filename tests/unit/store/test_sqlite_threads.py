"""Batches that wait at the same time are committed together, and still fail alone."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from observer.store.sqlite_threads import commit_together, read_threads, write_thread

Work = Callable[[sqlite3.Connection], object]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file with a table of numbers of which each may stand there once."""
    opened = sqlite3.connect(tmp_path / "numbers.db", isolation_level=None, check_same_thread=False)
    opened.execute("CREATE TABLE numbers (number INTEGER PRIMARY KEY)")
    yield opened
    opened.close()


def numbers(connection: sqlite3.Connection) -> list[int]:
    """What the table holds."""
    return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def insert(connection: sqlite3.Connection, *values: int) -> int:
    """Insert numbers one by one; how many."""
    for value in values:
        connection.execute("INSERT INTO numbers VALUES (?)", (value,))
    return len(values)


def inserting(*values: int) -> Work:
    """Work that inserts these numbers."""
    return lambda connection: insert(connection, *values)


def test_all_that_waits_is_one_transaction(connection: sqlite3.Connection) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert commit_together(connection, [inserting(n) for n in range(5)]) == [1] * 5
    assert statements.count("COMMIT") == 1
    assert numbers(connection) == [0, 1, 2, 3, 4]


def test_work_that_fails_is_undone_alone(connection: sqlite3.Connection) -> None:
    outcomes = commit_together(connection, [inserting(1), inserting(7, 8, 1), inserting(2)])
    assert [type(outcome) for outcome in outcomes] == [int, sqlite3.IntegrityError, int]
    assert numbers(connection) == [1, 2]


def test_a_mistake_of_ours_in_one_work_is_undone_alone(connection: sqlite3.Connection) -> None:
    def mistaken(connection: sqlite3.Connection) -> None:
        insert(connection, 7)
        raise KeyError("absent")

    outcomes = commit_together(connection, [mistaken, inserting(2)])
    assert [type(outcome) for outcome in outcomes] == [KeyError, int]
    assert numbers(connection) == [2]


def test_a_transaction_that_sqlite_gives_up_fails_for_all(connection: sqlite3.Connection) -> None:
    """As it does for a full disk: what was done before in the group is gone too, so nobody may hear that it is kept."""

    def rolled_back(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT OR ROLLBACK INTO numbers VALUES (1)")

    outcomes = commit_together(connection, [inserting(1), rolled_back, inserting(2)])
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 3
    assert numbers(connection) == []
    assert commit_together(connection, [inserting(3)]) == [1]


def test_a_commit_that_fails_fails_for_all_and_the_next_one_works(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE follows (number REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)")

    def dangle(connection: sqlite3.Connection) -> object:
        return connection.execute("INSERT INTO follows VALUES (99)").rowcount

    outcomes = commit_together(connection, [inserting(1), dangle])
    assert [type(outcome) for outcome in outcomes] == [sqlite3.IntegrityError] * 2
    assert numbers(connection) == []
    assert commit_together(connection, [inserting(1)]) == [1]


def test_a_transaction_that_was_left_open_is_ended_first(connection: sqlite3.Connection) -> None:
    """As when the disk fails the rollback too: the thread goes on as soon as it can."""
    connection.execute("BEGIN")
    insert(connection, 7)
    assert commit_together(connection, [inserting(1)]) == [1]
    assert numbers(connection) == [1]


async def test_a_waiter_that_was_cancelled_disturbs_nobody(connection: sqlite3.Connection) -> None:
    thread = write_thread(connection)
    impatient = asyncio.create_task(thread.run(inserting(1)))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await thread.run(inserting(2, 3)) == 2
    with pytest.raises(sqlite3.IntegrityError):
        await thread.run(inserting(3))
    assert await thread.run(numbers) == [1, 2, 3]
    await asyncio.to_thread(thread.close)


async def test_one_reader_works_while_another_is_busy_and_a_mistake_reaches_its_own_waiter(tmp_path: Path) -> None:
    connections = [sqlite3.connect(tmp_path / "numbers.db", check_same_thread=False) for _ in range(2)]
    threads = read_threads(connections)
    may_end = threading.Event()
    busy = asyncio.create_task(threads.run(lambda _: may_end.wait(30)))
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await threads.run(numbers)
    assert await threads.run(lambda connection: connection.execute("SELECT 7").fetchall()) == [(7,)]
    may_end.set()
    assert await busy
    await asyncio.to_thread(threads.close)
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


async def test_closing_ends_what_waits_first(connection: sqlite3.Connection) -> None:
    thread = write_thread(connection)
    works = [asyncio.create_task(thread.run(inserting(number))) for number in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(thread.close)
    assert await asyncio.gather(*works) == [1] * 100
