"""The store: it opens, it takes what is written, and the disk has room."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from observer.doctor.finding import Finding, failed, ok, warning
from observer.errors import ConfigError, StoreUnavailable
from observer.redaction import mask_text
from observer.settings import StoreSettings
from observer.store import open_store

LOW_BYTES = 2 * 1024**3
NO_BYTES = 200 * 1024**2


async def check_store(settings: StoreSettings, *, is_observer_running: bool) -> Finding:
    """Open the store as the observer would, write, close. A running observer vouches for its own (/readyz)."""
    check = "store"
    path = sqlite_path(settings)
    if is_observer_running:
        return ok(check, "the running observer has it open")
    if path is not None and not path.exists():
        return _new_file(check, path)
    store = open_store(settings.url.get_secret_value(), settings.timeout_s)
    try:
        await store.open()
        try:
            await store.ping()
        finally:
            await store.close()
    except ConfigError as error:
        return failed(check, mask_text(str(error)), "do what the text says")
    except StoreUnavailable as error:
        return failed(check, mask_text(str(error)), "start the database, or correct store.url; free disk space")
    return ok(check, "it opens, its schema is this version's, and it can be written")


def check_disk(folder: Path) -> Finding:
    """How much room there is where this process writes."""
    check = "disk"
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free / 1024**3:.1f} GB free at {existing}"
    if free < NO_BYTES:
        return failed(check, text, "free some space: messages are taken back to the broker when the disk is full")
    if free < LOW_BYTES:
        return warning(check, text, "free some space before the disk is full")
    return ok(check, text)


def sqlite_path(settings: StoreSettings) -> Path | None:
    """The file of an embedded store; None for a server."""
    parts = urlsplit(settings.url.get_secret_value())
    return Path(parts.path[1:]) if parts.scheme == "sqlite" else None


def _new_file(check: str, path: Path) -> Finding:
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if not os.access(existing, os.W_OK):
        return failed(check, f"{path} cannot be made: {existing} is not writable", "give this user the right to write")
    return ok(check, f"{path} will be made at the first start")
