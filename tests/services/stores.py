"""The stores that a test may run over: a fresh SQLite file, or a fresh database of a MongoDB server."""

from pathlib import Path

import pytest

STORES = ("sqlite", pytest.param("mongo", marks=pytest.mark.mongo))
every_store = pytest.mark.parametrize("store_url", STORES, indirect=True)
"""Marks a test, or a whole module, that is to run over each of them; all others run over SQLite."""


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    return empty_store(request, tmp_path)


def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store of the kind that the parameter names, SQLite if there is none."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return f"sqlite:///{tmp_path / 'observer.db'}"
    url: str = request.getfixturevalue("mongo_url")
    return url
