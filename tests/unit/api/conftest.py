"""The fixtures of the API's tests."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from observer.setup.signing_keys import ensure_signing_keys
from observer.store.sqlite import SqliteStore
from observer.tokens.keys import KeyStore
from tests.unit.api.world import World, build_world, new_store

WorldWith: TypeAlias = Callable[..., World]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyStore:
    """Signing keys, made once: RSA keys take their time."""
    folder = tmp_path_factory.mktemp("keys")
    ensure_signing_keys(folder)
    return KeyStore(folder)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = new_store(tmp_path)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def world_with(store: SqliteStore, keys: KeyStore) -> AsyncIterator[WorldWith]:
    """Builds an API with options of the test's choice."""
    worlds: list[World] = []

    def build(**options: object) -> World:
        worlds.append(build_world(store, keys, **options))
        return worlds[-1]

    yield build
    for world in worlds:
        await world.client.aclose()


@pytest.fixture
def world(world_with: WorldWith) -> World:
    return world_with()
