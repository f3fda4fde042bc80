"""The file of the SQLite store: made private, locked for one process, opened with the settings that keep a promise."""

import fcntl
import os
import sqlite3
from pathlib import Path

from observer.errors import ConfigError, StoreUnavailable

_WAL_PAGES = 4000  # 16 MB: a page that many commits change is copied into the file once


class FileLock:
    """A lock on `<path>.lock`, held as long as the process lives; it holds the process's number."""

    def __init__(self, path: Path) -> None:
        """Take the lock, making folder and files (0600). Raises ConfigError if another holds it or it can't be made."""
        lock_path = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
        except OSError as error:
            raise ConfigError(
                f"store.url: cannot write {path} ({error.strerror}); give this user the right, or name another path"
            ) from error
        self._take(path)

    def _take(self, path: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise ConfigError(
                f"store.url: {path} is in use by process {holder or '(unknown)'}, and SQLite serves one process only; "
                "stop that one, or use MongoDB for several processes"
            ) from error
        os.truncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it would race with the next process."""
        os.close(self._file)


def connect_writer(path: Path, timeout_s: float) -> sqlite3.Connection:
    """The connection that writes."""
    connection = _connect(path, timeout_s)
    try:
        _prepare_for_writing(connection)
    except sqlite3.Error:  # the first look into the file: it may be damaged
        connection.close()
        raise
    return connection


def _prepare_for_writing(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    # A message is acknowledged to its sender once it is committed: the commit must outlive a power cut, so the log is
    # synchronised with the disk each time (NORMAL would do so only now and then).
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -65536")
    connection.execute("PRAGMA temp_store = MEMORY")  # else each undoable statement makes a file


def connect_reader(path: Path, timeout_s: float) -> sqlite3.Connection:
    """A connection that only reads."""
    connection = _connect(path, timeout_s)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -16384")
    return connection


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout_s, isolation_level=None, check_same_thread=False, cached_statements=64)


def opening_error(error: sqlite3.Error, path: Path) -> ConfigError | StoreUnavailable:
    """What to raise when the file cannot be opened."""
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):  # the rest is detail
        return ConfigError(
            f"store.url: {path} is damaged or no SQLite database ({error}); restore a backup or name another path"
        )
    return unavailable(error, path)


def unavailable(error: sqlite3.Error, path: Path) -> StoreUnavailable:
    """What to raise when SQLite cannot work now: no space, an input/output error, a lock that lasts."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreUnavailable(f"SQLite cannot work on {path}: {error} ({name})")
