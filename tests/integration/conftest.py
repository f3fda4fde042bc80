"""Fixtures of tests that talk to the broker itself."""

import uuid
from collections.abc import AsyncIterator

import pytest
from aio_pika.abc import AbstractChannel

from tests.services.broker_clients import observer_channel
from tests.services.rabbitmq import RunningBroker


@pytest.fixture
async def channel(broker: RunningBroker) -> AsyncIterator[AbstractChannel]:
    """The observer's channel."""
    async with observer_channel(broker) as channel:
        yield channel


@pytest.fixture
def user() -> str:
    """A user that no other test knows."""
    return f"user-{uuid.uuid4().hex[:12]}"
