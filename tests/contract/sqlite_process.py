"""A process of its own that saves one message after another in the SQLite file named by its argument.

It prints `open` when it has the file, and each offset once its save has returned; it goes on until it is killed.
"""

import asyncio
import sys

from observer.store import open_store
from tests.contract.messages import make_message


async def save_for_ever(path: str) -> None:
    """Open the file and write to it without end."""
    store = open_store(f"sqlite:///{path}", 10.0)
    await store.open()
    print("open", flush=True)  # noqa: T201
    offset = (await store.shard_position(0)).next_offset
    while True:
        await store.save([make_message(offset=offset)], [])
        print(offset, flush=True)  # noqa: T201
        offset += 1


if __name__ == "__main__":
    asyncio.run(save_for_ever(sys.argv[1]))
