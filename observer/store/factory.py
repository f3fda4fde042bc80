"""Chooses the store by the scheme of its URL."""

import re
from pathlib import Path

from observer.errors import ConfigError
from observer.store.base import Store
from observer.store.mongo import MongoStore
from observer.store.sqlite import SqliteStore
from observer.topics import shown

_SQLITE = "sqlite:///"
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,20})://", re.IGNORECASE | re.ASCII)


def open_store(url: str, timeout_s: float) -> Store:
    """The store that `url` names; call its `open()` before anything else.

    `sqlite:///relative/path`, `sqlite:////absolute/path`, `mongodb://…/database`, `mongodb+srv://…/database`.
    Raises ConfigError for anything else; its text repeats the scheme only: the rest may hold a password.
    """
    if url.startswith(("mongodb://", "mongodb+srv://")):
        return MongoStore(url, timeout_s)
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return SqliteStore(Path(url.removeprefix(_SQLITE)), timeout_s)
    scheme = _SCHEME.match(url)
    raise ConfigError(
        f"store.url: {shown(scheme[1]) if scheme else 'this (value not shown)'} names no store; "
        "use sqlite:///path/to/file or mongodb://host/database"
    )
