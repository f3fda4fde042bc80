"""Every way in which the AMQP library says that a line is gone is one error to us; everything else stays what it is."""

import asyncio

import pytest
from aiormq.exceptions import ChannelInvalidStateError, ConnectionClosed

from observer.broker.connect import line_errors
from observer.errors import BrokerUnavailable


@pytest.mark.parametrize(
    "error",
    [
        ConnectionClosed(320, "CONNECTION_FORCED"),
        ChannelInvalidStateError(),
        ConnectionResetError(),
        TimeoutError(),
        Exception(),  # what it ends a wait for a drained line with when it knows no reason
        RuntimeError("closed"),
        asyncio.CancelledError(),
    ],
)
async def test_a_line_that_is_gone_is_a_broker_that_is_away(error: BaseException) -> None:
    with pytest.raises(BrokerUnavailable, match="saying hello"), line_errors("saying hello"):
        raise error


async def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(ValueError, match="a bug"), line_errors("saying hello"):
        raise ValueError("a bug")


async def test_who_is_cancelled_is_cancelled() -> None:
    async def wait() -> None:
        with line_errors("saying hello"):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
