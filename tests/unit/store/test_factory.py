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


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("", "this (value not shown)"),
        ("secret/observer.db", "this (value not shown)"),
        ("secret:x@host/db", "this (value not shown)"),
        ("sqlite://", "'sqlite'"),
        ("sqlite:///", "'sqlite'"),
        ("postgresql://u:secret@host/db", "'postgresql'"),
    ],
)
def test_any_other_url_is_refused_by_its_scheme_alone(url: str, named: str) -> None:
    """The rest may hold a password."""
    with pytest.raises(ConfigError) as caught:
        open_store(url, 1.0)
    assert str(caught.value) == (
        f"store.url: {named} names no store; use sqlite:///path/to/file or mongodb://host/database"
    )
