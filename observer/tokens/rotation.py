"""Rotating the signing keys, which `observer setup` makes.

A rotation moves `next` to `current` and `current` to `previous`, then makes a new `next`. The broker trusts `next`
already, so tokens of the old and of the new key are good throughout. Each step replaces one file whole: after a crash
in between every slot still holds a key, and running the rotation again completes it.
"""

import os
import tempfile
from pathlib import Path

from observer.errors import ConfigError
from observer.tokens.keys import Algorithm, KeyRing, generate_key, key_path, read_ring


def rotate_keys(folder: Path, algorithm: Algorithm = "RS256") -> KeyRing:
    """Sign with what was `next` from now on; returns the new ring, whose `next` the broker does not know yet.

    Raises ConfigError where a key is missing or open to others.
    """
    ring = read_ring(folder, algorithm)
    current, following, previous = (key_path(folder, slot, algorithm) for slot in ("current", "next", "previous"))
    if ring.current.kid != ring.next.kid:  # else an earlier rotation stopped half-way: only the new key is missing
        write_private(previous, current.read_bytes())
        write_private(current, following.read_bytes())
    write_private(following, generate_key(algorithm))
    return read_ring(folder, algorithm)


def write_private(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, that only the owner of its folder can read. Raises ConfigError."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            give_to_owner(Path(name), path.parent)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as failed:
        raise ConfigError(f"tokens.keys_dir: can not write {path}: {failed.strerror}") from failed


def give_to_owner(path: Path, folder: Path) -> None:
    """Let root rotate keys that the observer, another user, must read."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
