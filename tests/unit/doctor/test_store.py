"""Doctor, store and disk: what would stop the observer at its start or under load is found before."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr

from observer.doctor.finding import Level
from observer.doctor.store import LOW_BYTES, NO_BYTES, check_disk, check_store, sqlite_path
from observer.settings import StoreSettings
from observer.store import open_store


def sqlite(path: Path) -> StoreSettings:
    return StoreSettings(url=SecretStr(f"sqlite:///{path}"))


async def test_a_store_that_is_not_there_yet_is_not_made_by_looking(tmp_path: Path) -> None:
    finding = await check_store(sqlite(tmp_path / "chat.db"), is_observer_running=False)
    assert finding.level is Level.OK
    assert not os.listdir(tmp_path)  # noqa: PTH208 (the file system of a test answers at once)


async def test_a_good_store_is_opened_and_written(tmp_path: Path) -> None:
    settings = sqlite(tmp_path / "chat.db")
    store = open_store(settings.url.get_secret_value(), 5.0)
    await store.open()
    await store.close()
    assert (await check_store(settings, is_observer_running=False)).level is Level.OK


async def test_a_store_that_another_process_holds_is_found_unless_that_is_the_observer(tmp_path: Path) -> None:
    settings = sqlite(tmp_path / "chat.db")
    store = open_store(settings.url.get_secret_value(), 5.0)
    await store.open()
    try:
        assert (await check_store(settings, is_observer_running=False)).level is Level.FAILED
        assert (await check_store(settings, is_observer_running=True)).level is Level.OK
    finally:
        await store.close()


async def test_a_file_that_is_no_database_is_found(tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_bytes(b"hello, this is not a database, it only looks like one from afar" * 20)
    finding = await check_store(sqlite(tmp_path / "chat.db"), is_observer_running=False)
    assert finding.level is Level.FAILED
    assert "chat.db" in finding.text


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("free", "level"),
    [(NO_BYTES - 1, Level.FAILED), (NO_BYTES, Level.WARNING), (LOW_BYTES - 1, Level.WARNING), (LOW_BYTES, Level.OK)],
)
def test_the_room_on_the_disk_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1, 1, free))
    assert check_disk(tmp_path / "not" / "yet").level is level


def test_only_an_embedded_store_has_a_file() -> None:
    assert sqlite_path(StoreSettings(url=SecretStr("sqlite:////var/lib/chat.db"))) == Path("/var/lib/chat.db")
    assert sqlite_path(StoreSettings(url=SecretStr("sqlite:///var/chat.db"))) == Path("var/chat.db")
    assert sqlite_path(StoreSettings(url=SecretStr("mongodb://h/chat"))) is None
