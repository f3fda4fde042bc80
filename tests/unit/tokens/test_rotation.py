"""A rotation leaves no moment in which a good token is refused, and none in which a key is missing."""

import os
import stat
from pathlib import Path

import pytest

from observer.errors import ConfigError, Refused
from observer.tokens import rotation
from observer.tokens.keys import read_ring
from observer.tokens.rotation import UNKNOWN_MARK, confirm_next, rotate_keys, write_private


def test_a_rotation_moves_every_key_one_place_on_and_makes_a_new_one(folder: Path) -> None:
    before = read_ring(folder)
    after = rotate_keys(folder)
    assert (after.current.kid, after.previous and after.previous.kid) == (before.next.kid, before.current.kid)
    assert after.next.kid not in {key.kid for key in before}


def test_every_key_file_is_its_owners_alone(folder: Path) -> None:
    rotate_keys(folder)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_rotation_leaves_nothing_else_in_the_folder(folder: Path) -> None:
    rotate_keys(folder)
    assert {path.name for path in folder.iterdir()} == {"current.pem", "next.pem", "previous.pem", UNKNOWN_MARK}


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_a_rotation_that_died_half_way_is_completed_by_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Whatever was written, every slot holds a key, and no token of a trusted key is refused."""
    before = read_ring(folder)
    left = [writes]

    def dying_write(path: Path, content: bytes) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        write_private(path, content)

    monkeypatch.setattr(rotation, "write_private", dying_write)
    with pytest.raises(KeyboardInterrupt):
        rotate_keys(folder)
    monkeypatch.undo()
    half_way = read_ring(folder)
    assert {key.kid for key in half_way} == {before.current.kid, before.next.kid}
    after = rotate_keys(folder)
    assert (after.current.kid, after.previous and after.previous.kid) == (before.next.kid, before.current.kid)


def test_a_key_file_that_can_not_be_written_whole_stays_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "current.pem").read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ConfigError, match="No space left"):
        write_private(folder / "current.pem", b"half")
    assert (folder / "current.pem").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {"current.pem", "next.pem"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_keys_that_root_rotates_stay_the_observers(folder: Path) -> None:
    for path in (folder, *folder.iterdir()):
        os.chown(path, 12345, 12345)
    rotate_keys(folder)
    assert {path.stat().st_uid for path in folder.iterdir()} == {12345}


def test_a_key_that_the_broker_may_not_know_never_signs(folder: Path) -> None:
    """Two rotations in a row would sign with a key that no broker was given."""
    after = rotate_keys(folder)
    with pytest.raises(Refused, match=after.next.kid):
        rotate_keys(folder)
    assert [key.kid for key in read_ring(folder)] == [key.kid for key in after]
    confirm_next(folder)
    assert rotate_keys(folder).current.kid == after.next.kid
