"""One `make run` a folder: a lock on it, which tells who comes second by whom it is held."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from observer.errors import ConfigError
from observer.setup.files import make_folder

LOCK_FILE = "run.lock"


@contextmanager
def sole_use(directory: Path, endpoints: str) -> Iterator[None]:
    """Hold `directory`, and let others know by which `endpoints` we are reached; the kernel frees it if we die.

    Raises ConfigError, with what to do, if another process holds it or we may not write there.
    """
    make_folder(directory)
    path = directory / LOCK_FILE
    try:
        lock = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}. Start it as the owner of that folder.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(_running_already(directory, lock)) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()} {endpoints}\n")
        lock.flush()
        yield


def _running_already(directory: Path, lock: TextIO) -> str:
    lock.seek(0)
    pid, _, endpoints = lock.read().strip().partition(" ")
    who = f" (process {pid}: {endpoints})" if pid else ""  # nothing is written yet in the first moment
    stop = f", or with `kill {pid}`," if pid else ""
    return (
        f"`make run` runs on {directory.absolute()} already{who}: use that one, "
        f"or stop it with Ctrl-C in its terminal{stop} and start again"
    )
