"""How MongoDB is called: a passing error is tried again for a short while, every other becomes one of ours."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from observer.errors import StoreUnavailable

T = TypeVar("T")
DUPLICATE_KEY = 11000
_TRIES = 5
_FIRST_PAUSE_S = 0.02
_PASSING = frozenset(
    {
        112,  # WriteConflict
        16908292,  # FerretDB: PostgreSQL detected a deadlock and undid the command
    }
)


async def patiently(work: Callable[[], Awaitable[T]], timeout_s: float) -> T:
    """The result of `work`, which must be safe to repeat; raise StoreUnavailable if it fails for long."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _try_again(work)
    except TimeoutError as error:
        raise StoreUnavailable(f"MongoDB did not answer within {timeout_s} s") from error
    except PyMongoError as error:
        raise StoreUnavailable(f"MongoDB cannot work now: {type(error).__name__}: {str(error)[:300]}") from error


async def _try_again(work: Callable[[], Awaitable[T]]) -> T:
    for attempt in range(_TRIES - 1):
        try:
            return await work()
        except PyMongoError as error:
            if not is_passing(error):
                raise
        await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt * (1 + random.random()))  # noqa: S311  only spreads the tries
    return await work()


def is_passing(error: PyMongoError) -> bool:
    """Whether the same call may succeed in a moment: a lost connection, a new primary, a lost race of two writers."""
    if isinstance(error, ServerSelectionTimeoutError):
        return False  # the driver has tried for long enough already
    return isinstance(error, AutoReconnect) or bool(codes_of(error) & _PASSING)


def codes_of(error: PyMongoError) -> frozenset[int]:
    """The server's error codes in an error."""
    if isinstance(error, BulkWriteError):
        return frozenset(entry["code"] for entry in error.details.get("writeErrors", ()))
    if isinstance(error, OperationFailure) and error.code is not None:
        return frozenset({error.code})
    return frozenset()
