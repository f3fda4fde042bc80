"""However odd the store's URL is: what says so, says it without the password, at every exit."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner

from observer.cli import main
from observer.doctor.store import check_store
from observer.errors import ObserverError
from observer.logs import configure_logging
from observer.settings import StoreSettings
from observer.settings_load import load_settings
from observer.store import open_store

TIMEOUT_S = 0.2
PASSWORD = "hunter2"
URLS = {
    "plain": "mongodb://u:hunter2@127.0.0.1:1/chat",
    "with @": "mongodb://u:x@hunter2@127.0.0.1:1/chat",
    "with :": "mongodb://u:x:hunter2@127.0.0.1:1/chat",
    "with /": "mongodb://u:x/hunter2@127.0.0.1:1/chat",
    "with / behind a number": "mongodb://u:12/hunter2@127.0.0.1:1/chat",
    "with / and no database": "mongodb://u:12/hunter2@127.0.0.1:1",
    "with % at the end": "mongodb://u:hunter2%@127.0.0.1:1/chat",
    "with % and no number": "mongodb://u:hunter2%zz@127.0.0.1:1/chat",
    "with #": "mongodb://u:x#hunter2@127.0.0.1:1/chat",
    "with ?": "mongodb://u:x?hunter2@127.0.0.1:1/chat",
    "with / ? =": "mongodb://u:12/x?hunter2=@127.0.0.1:1/chat",
    "with [": "mongodb://u:hunter2[@127.0.0.1:1/chat",
    "with a quote": "mongodb://u:x'\"hunter2@127.0.0.1:1/chat",
    "with a space": "mongodb://u:x hunter2@127.0.0.1:1/chat",
    "with a line break": "mongodb://u:x\nhunter2@127.0.0.1:1/chat",
    "as the user": "mongodb://hunter2/x@127.0.0.1:1/chat",
    "without a user": "mongodb://:hunter2@127.0.0.1:1/chat",
    "no host": "mongodb://u:hunter2@/chat",
    "nothing behind it": "mongodb://u:hunter2@",
    "no database": "mongodb://u:hunter2@127.0.0.1:1",
    "port no number": "mongodb://u:hunter2@127.0.0.1:port/chat",
    "port too large": "mongodb://u:hunter2@127.0.0.1:99999/chat",
    "unknown option": "mongodb://u:hunter2@127.0.0.1:1/chat?nope=1",
    "as an option": "mongodb://127.0.0.1:1/chat?hunter2=1",
    "as a value": "mongodb://127.0.0.1:1/chat?tls=hunter2&compressors=hunter2&authMechanism=hunter2",
    "of a key file": "mongodb://127.0.0.1:1/chat?tls=true&tlsCertificateKeyFilePassword=hunter2",
    "a file that is not there": "mongodb://u:hunter2@127.0.0.1:1/chat?tls=true&tlsCAFile=/hunter2",
    "srv by address": "mongodb+srv://u:hunter2@127.0.0.1/chat",
    "srv with two hosts": "mongodb+srv://u:hunter2@a.invalid,b.invalid/chat",
    "srv with a port": "mongodb+srv://u:hunter2@a.invalid:1/chat",
    "another scheme": "postgresql://u:hunter2@127.0.0.1/chat",
    "sqlite with a host": "sqlite://u:hunter2@127.0.0.1/chat",
    "no slashes": "mongodb:u:hunter2@127.0.0.1:1/chat",
    "no scheme": "u:hunter2@127.0.0.1:1/chat",
    "no scheme and no user": "hunter2:27017@127.0.0.1/chat",
    "the password alone": "hunter2",
}


def settings_of(url: str) -> StoreSettings:
    """The settings with this URL, as every command loads them."""
    return load_settings(None, {"OBSERVER_STORE__URL": url, "OBSERVER_STORE__TIMEOUT_S": str(TIMEOUT_S)}).store


async def opened(url: str) -> None:
    """Open the store, as `observer run` does."""
    settings = settings_of(url)
    store = open_store(settings.url.get_secret_value(), settings.timeout_s)
    try:
        await store.open()
    finally:
        await store.close()


async def store_exit(url: str) -> str:
    """What the store says."""
    try:
        await opened(url)
    except ObserverError as error:
        return str(error)
    return ""


async def log_exit(url: str) -> str:
    """What the log says of it, with the traceback and all that it was caused by."""
    configure_logging("debug", "json")
    try:
        await opened(url)
    except ObserverError as error:
        structlog.get_logger().exception("shard_waits_for_store", reason=str(error))
    return ""


async def doctor_exit(url: str) -> str:
    """What `observer doctor` finds."""
    try:
        settings = settings_of(url)
    except ObserverError as error:
        return str(error)
    return json.dumps(asdict(await check_store(settings, is_observer_running=False)))


async def settings_exit(url: str) -> str:
    """What is said of it where it stands in the right or wrong variable, or without quotes in the file."""
    file = Path("observer.toml")
    await asyncio.to_thread(file.write_text, f"[store]\nurl = {url}\n", encoding="utf-8")
    said = ""
    for name in ("STORE__URL", "STORE__URL_FILE", "STORE"):
        try:
            load_settings(None, {f"OBSERVER_{name}": url})
        except ObserverError as error:
            said += str(error)
    try:
        load_settings(file, {})
    except ObserverError as error:
        said += str(error)
    return said


async def check_config_exit(url: str) -> str:
    """What `observer check-config` prints."""
    results = [
        CliRunner().invoke(main, ["check-config", *option], env={"OBSERVER_STORE__URL": url})
        for option in ([], ["--json"])
    ]
    return "".join(result.output for result in results)


Exit = Callable[[str], Awaitable[str]]
EXITS: tuple[Exit, ...] = (store_exit, log_exit, doctor_exit, settings_exit, check_config_exit)


@pytest.mark.usefixtures("pymongo_may_leave_sockets", "restored_logging")
@pytest.mark.parametrize("url", URLS.values(), ids=URLS.keys())
@pytest.mark.parametrize("exit_", EXITS, ids=lambda exit_: exit_.__name__)
async def test_no_password_is_printed(
    exit_: Exit, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # where a store of SQLite would be made
    monkeypatch.delenv("OBSERVER_CONFIG", raising=False)
    said = await exit_(url) + "".join(capsys.readouterr())
    assert said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://u:x@y@127.0.0.1:1/chat", "write @ as %40"),
        ("mongodb://u:p@127.0.0.1:1/chat?nope=1", "that PyMongo knows"),
        ("mongodb+srv://u:p@a.invalid:1/chat", "one host name and no port"),
        ("mongodb://127.0.0.1:1/chat?tls=true&tlsCAFile=/nope", "a file that an option names cannot be read: No such"),
    ],
)
async def test_what_to_do_is_told_all_the_same(url: str, told: str) -> None:
    assert told in await store_exit(url)


def test_a_file_of_a_secret_is_named_where_it_is_surely_a_path(tmp_path: Path) -> None:
    with pytest.raises(ObserverError, match=f"{tmp_path}/nope': the file cannot be read: No such file"):
        load_settings(None, {"OBSERVER_STORE__URL_FILE": f"{tmp_path}/nope"})
