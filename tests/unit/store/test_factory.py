"""The URL chooses the store."""

import pytest

from observer.errors import ConfigError
from observer.store import open_store
from observer.store.mongo import MongoStore
from observer.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite:///var/observer.db", SqliteStore),
        ("sqlite:////var/lib/observer.db", SqliteStore),
        ("mongodb://127.0.0.1/chat", MongoStore),
        ("mongodb+srv://example.org/chat", MongoStore),
    ],
)
def test_the_scheme_names_the_store(url: str, kind: type) -> None:
    assert type(open_store(url, 1.0)) is kind


@pytest.mark.parametrize("url", ["", "var/observer.db", "sqlite://", "sqlite:///", "postgresql://u:secret@host/db"])
def test_any_other_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"use sqlite:///path/to/file or mongodb://host/database") as caught:
        open_store(url, 1.0)
    assert "secret" not in str(caught.value)
    assert url.partition(":")[0] in str(caught.value)
