"""Whether messages are being taken, stored and delivered: what /readyz answers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from observer.errors import StoreUnavailable
from observer.store.base import MessageStore

CHECK_INTERVAL_S = 2.0


class Health:
    """Asks the store now and then; asks the shards when it is asked."""

    def __init__(self, store: MessageStore, shards: Callable[[], Sequence[int]]) -> None:
        """`shards()` names those that should be consumed here and are not."""
        self._store = store
        self._idle_shards = shards
        self._store_reason: str | None = "the store has not answered yet"
        self._is_stopping = False

    def reasons(self) -> Sequence[str]:
        """Why not ready, a sentence each; empty when ready."""
        found = []
        if self._is_stopping:
            found.append("the process is shutting down")
        if self._store_reason is not None:
            found.append(self._store_reason)
        idle = self._idle_shards()
        if idle:
            found.append(f"no line to the broker for shards {', '.join(map(str, idle))}")
        return found

    def has_store(self) -> bool:
        """Whether the store answered when it was asked last."""
        return self._store_reason is None

    def stop(self) -> None:
        """Not ready from now on, so that nothing new is sent here."""
        self._is_stopping = True

    async def watch(self, stop: asyncio.Event) -> None:
        """Keep asking the store until `stop`."""
        while not stop.is_set():
            try:
                await self._store.ping()
                self._store_reason = None
            except StoreUnavailable as error:
                self._store_reason = f"the store does not answer: {error}"
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL_S):
                    await stop.wait()
