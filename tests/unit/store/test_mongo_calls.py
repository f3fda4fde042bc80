"""What passes by itself is tried again for a short while; what does not is unavailable at once.

The errors are made up: a lost race or a change of the primary cannot be caused at will.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from pymongo.errors import AutoReconnect, BulkWriteError, NotPrimaryError, OperationFailure, PyMongoError

from observer.errors import ShardLost, StoreUnavailable
from observer.store.mongo_calls import patiently

PASSING = [
    OperationFailure("WriteConflict", 112),
    OperationFailure("deadlock detected", 16908292),
    BulkWriteError({"writeErrors": [{"index": 0, "code": 16908292}]}),
    NotPrimaryError("not primary"),
    AutoReconnect("connection closed"),
]


def failing(*errors: Exception) -> tuple[Callable[[], Awaitable[str]], list[Exception]]:
    """Work that raises these errors, one a call, and then succeeds; and the errors that it has still to raise."""
    left = list(errors)

    async def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work, left


@pytest.mark.parametrize("error", PASSING, ids=lambda error: f"{type(error).__name__}-{error}"[:40])
async def test_what_passes_is_tried_again(error: PyMongoError) -> None:
    work, _ = failing(error, error)
    assert await patiently(work, 10.0) == "done"


async def test_what_does_not_pass_is_unavailable_with_its_cause() -> None:
    errors = [AutoReconnect(f"closed {n}") for n in range(20)]
    work, left = failing(*errors)
    with pytest.raises(StoreUnavailable, match="AutoReconnect") as caught:
        await patiently(work, 10.0)
    assert caught.value.__cause__ in errors
    assert left, "it gives up after a few tries"


async def test_a_server_that_refuses_is_not_asked_again() -> None:
    work, left = failing(OperationFailure("no space left", 14031), AutoReconnect())
    with pytest.raises(StoreUnavailable, match="no space left"):
        await patiently(work, 10.0)
    assert len(left) == 1


async def test_a_server_that_never_answers_is_unavailable_when_the_time_is_up() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StoreUnavailable, match=r"within 0\.01 s"):
        await patiently(for_ever, 0.01)


async def test_what_is_no_error_of_the_server_passes_through() -> None:
    work, _ = failing(ShardLost("taken"))
    with pytest.raises(ShardLost):
        await patiently(work, 10.0)
