"""The stores that the suite runs over: a fresh SQLite file, and a fresh database of a MongoDB server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from observer.store import open_store
from observer.store.base import Store
from tests.services.stores import STORES, empty_store

Reopen: TypeAlias = Callable[[], Awaitable[Store]]


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, of each in turn."""
    return empty_store(request, tmp_path)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open store that holds nothing."""
    opened = open_store(store_url, 10.0)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def reopen(store: Store, store_url: str) -> AsyncIterator[Reopen]:
    """Closes the store, and opens another one on what it left."""
    async with AsyncExitStack() as stack:

        async def again() -> Store:
            await store.close()
            opened = open_store(store_url, 10.0)
            await opened.open()
            stack.push_async_callback(opened.close)
            return opened

        yield again
