"""Writing the files of a set-up: secrets are for their owner only from the first byte, and are never overwritten."""

import os
from pathlib import Path

from observer.errors import ConfigError

SECRET_MODE = 0o600
OPEN_MODE = 0o644


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Make `path` with its parents; raise ConfigError where the right is missing."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {path}: {error.strerror}. Choose another one with --dir.") from error


def write_once(path: Path, content: bytes, *, mode: int = SECRET_MODE) -> None:
    """Write a file that must not be there yet. It gets its name when it is whole, whatever interrupts this."""
    if path.exists():
        raise ConfigError(f"cannot write {path}: it is there already. Remove it, or choose another folder with --dir.")
    part = path.with_name(f"{path.name}.part")
    _write(part, content, mode)
    part.rename(path)


def write_if_changed(path: Path, content: bytes, *, mode: int = OPEN_MODE) -> bool:
    """Write `content` unless the file holds it already; return whether it was written."""
    try:
        if path.exists() and path.read_bytes() == content:
            return False
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}. Run this as the user who owns it, or as root."
        ) from error
    _write(path, content, mode)
    return True


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:  # the disk is full: half a file would be taken for a whole one by the next set-up
            path.unlink()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}. Fix it, or choose another folder with --dir."
        ) from error
