"""Rotating the signing keys, which `observer setup` makes.

A rotation moves `next` to `current` and `current` to `previous`, then makes a new `next`. The broker trusts `next`
already, so tokens of the old and of the new key are good throughout. Each step replaces one file whole: after a crash
in between every slot still holds a key, and running the rotation again completes it.

The new `next` must reach the broker before the following rotation. Until somebody says that it did, a mark lies beside
the keys.
"""

import os
import tempfile
from pathlib import Path

from observer.errors import ConfigError, Refused
from observer.tokens.keys import Algorithm, KeyRing, generate_key, key_path, read_ring

UNKNOWN_MARK = "next.unknown"
"""Lies in the folder while the broker may not know `next` yet."""


def rotate_keys(folder: Path, algorithm: Algorithm = "RS256") -> KeyRing:
    """Sign with what was `next` from now on; returns the new ring, whose `next` the broker does not know yet.

    Raises Refused where the broker may not know the key that would sign, ConfigError where a key is missing or open.
    """
    ring = read_ring(folder, algorithm)
    current, following, previous = (key_path(folder, slot, algorithm) for slot in ("current", "next", "previous"))
    if ring.current.kid != ring.next.kid:  # else an earlier rotation stopped half-way: only the new key is missing
        check_known(folder, ring)
        write_private(previous, current.read_bytes())
        write_private(current, following.read_bytes())
    write_private(folder / UNKNOWN_MARK, b"")
    write_private(following, generate_key(algorithm))
    return read_ring(folder, algorithm)


def check_known(folder: Path, ring: KeyRing) -> None:
    """Raise Refused while the broker may not know the next key: the tokens that it signs would be refused."""
    if (folder / UNKNOWN_MARK).exists():
        raise Refused(
            f"the broker may not know the next key, {ring.next.kid}, yet: "
            "give it to the broker first (`observer token rotate --help`)"
        )


def confirm_next(folder: Path) -> None:
    """Note that the broker knows every key of the folder."""
    (folder / UNKNOWN_MARK).unlink(missing_ok=True)


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
        raise ConfigError(f"tokens.keys_dir: cannot write {path}: {failed.strerror}") from failed


def give_to_owner(path: Path, folder: Path) -> None:
    """Let root rotate keys that the observer, another user, must read."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
