"""The file of the SQLite store: private, one process's, and never damaged by a fault of the machine."""

import asyncio
import os
import resource
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from observer.errors import ConfigError, StoreUnavailable
from observer.store.base import Position, Query, ShardPosition
from observer.store.sqlite import SqliteStore
from tests.contract.messages import APP, NOW_MS, make_message, offsets
from tests.services.small_disk import small_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file shall be; neither it nor its folder is there."""
    return tmp_path / "new" / "observer.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    """An open store on a new file."""
    opened = SqliteStore(path)
    await opened.open()
    yield opened
    await opened.close()


@contextmanager
def saving_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the file open and writes to it; killed at the end."""
    command = [sys.executable, "-m", "tests.contract.sqlite_process", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def next_line(process: subprocess.Popen[str]) -> str:
    """The next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


async def test_file_and_folder_are_made_and_private(store: SqliteStore, path: Path) -> None:
    await store.save([make_message()], [])
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


async def test_a_second_process_is_refused_and_told_who_has_the_file(path: Path) -> None:
    """Also the way out is told; once the holder is gone, however it died, the file opens."""
    store = SqliteStore(path)
    with saving_process(path) as holder:
        assert next_line(holder) == "open"
        with pytest.raises(ConfigError, match=f"{path} is in use by process {holder.pid}, .* use MongoDB"):
            await store.open()
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.ping()
    await store.open()
    await store.ping()
    await store.close()


async def test_what_was_acknowledged_before_a_kill_is_there_and_whole(path: Path) -> None:
    with saving_process(path) as process:
        lines = [next_line(process) for _ in range(30)]
    store = SqliteStore(path)
    await store.open()
    try:
        page = await store.timeline(APP, "bob", {}, 1000)
        assert offsets(page.messages)[: int(lines[-1]) + 1] == list(range(int(lines[-1]) + 1))
        row = await store.conversation(APP, "bob", "alice")
        assert row is not None
        assert (row.last_message, row.unread) == (page.messages[-1], len(page.messages))
    finally:
        await store.close()


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_sound_database_is_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{path} is damaged or no SQLite database") as caught:
        asyncio.run(SqliteStore(path).open())
    assert path.read_bytes() == content
    assert str(path) not in open_files(), f"closed, and not when somebody lets go of {caught.value!r}"


def open_files() -> set[str]:
    """What this process has open."""
    return {os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}  # noqa: PTH208


async def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()
    with pytest.raises(ConfigError, match="another program"):
        await SqliteStore(path).open()


async def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"cannot write .*file/observer\.db"):
        await SqliteStore(tmp_path / "file" / "observer.db").open()


async def test_a_database_of_a_later_version_is_left_alone(store: SqliteStore, path: Path) -> None:
    await store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="schema version 99, this program knows 2 at most"):
        await SqliteStore(path).open()


@contextmanager
def no_file_may_grow_beyond(size: int) -> Iterator[None]:
    """While this lasts, the system refuses any write of this process behind `size` bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_the_system_refuses_leaves_nothing_half_and_the_next_one_works(
    store: SqliteStore, path: Path
) -> None:
    """Reading goes on meanwhile; nothing has to be restarted afterwards."""
    first, second = [make_message(offset=0)], [make_message(offset=n, body=b"x" * 5000) for n in range(1, 50)]
    await store.save(first, [])
    with no_file_may_grow_beyond(path.with_name("observer.db-wal").stat().st_size + 50_000):
        with pytest.raises(StoreUnavailable, match=str(path)) as caught:
            await store.save(second, [])
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert (await store.timeline(APP, "bob", {}, 100)).messages == tuple(first)
    assert await store.shard_position(0) == ShardPosition(1, NOW_MS)
    await store.save(second, [])
    assert (await store.timeline(APP, "bob", {}, 100)).messages == (*first, *second)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with two megabytes."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        yield disk


async def test_a_full_disk_is_survived_and_over_as_soon_as_there_is_space(disk: Path) -> None:
    ballast = disk / "ballast"
    store = SqliteStore(disk / "observer.db")
    await store.open()
    try:
        await store.save([make_message(offset=0)], [])
        ballast.write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
        batch = [make_message(offset=n, body=b"x" * 2000) for n in range(1, 100)]
        with pytest.raises(StoreUnavailable, match=r"full|disk"):
            await store.save(batch, [])
        assert offsets((await store.timeline(APP, "bob", {}, 100)).messages) == [0]
        with pytest.raises(StoreUnavailable):  # readiness tells it too
            await store.ping()
        ballast.unlink()
        await store.save(batch, [])
        await store.ping()
        assert offsets((await store.timeline(APP, "bob", {}, 100)).messages) == list(range(100))
    finally:
        await store.close()


async def test_the_event_loop_never_waits_for_the_disk(path: Path) -> None:
    store = SqliteStore(path)
    with blockbuster_ctx(scanned_modules="observer.store"):
        await store.open()
        await store.save([make_message()], [])
        await store.look_up(Query(message_ids=["x"], relations=[(APP, "bob", "alice")]))
        await store.mark_read(APP, "bob", "alice", Position(NOW_MS, "x"))
        await store.conversations(APP, "bob", before=None, limit=5)
        await store.ping()
        await store.close()
