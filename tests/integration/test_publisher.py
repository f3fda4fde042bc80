"""Publishing with confirms, on a real broker."""

from dataclasses import replace

import pytest

from observer.broker import names
from observer.broker.publisher import ConfirmingPublisher
from observer.broker.publishing_line import PublishingLine
from observer.errors import BrokerUnavailable
from observer.message import Publication
from observer.topics import client_added
from tests.services.cut_line import CutLine
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker


async def test_a_large_batch_on_a_slow_line_is_not_taken_for_a_dead_one(broker: RunningBroker) -> None:
    """13 MB at 4 MB/s: more than a second in all, far less from one confirm to the next."""
    batch = [Publication(client_added("demo", f"user-{number}", "bob"), b"x" * 65_536) for number in range(200)]
    with CutLine(broker.amqps_port) as line:
        options = replace(broker.options, port=line.port, confirm_timeout_s=1.0)
        async with ConfirmingPublisher(options, "test", on_nack=lambda _: None, on_reconnect=lambda: None) as publisher:
            await publisher.publish(batch[:1])
            line.slow_down(4_000_000)
            assert await publisher.publish(batch) == []


async def test_what_the_broker_does_not_confirm_does_not_count_as_published(broker: RunningBroker) -> None:
    """The network swallows every packet behind the one that opened the line."""
    with CutLine(broker.amqps_port) as line:
        options = replace(broker.options, port=line.port, confirm_timeout_s=0.2)
        publishing = await PublishingLine.open(options, "test")
        line.go_silent()
        with pytest.raises(BrokerUnavailable, match="no publisher confirm"):
            await publishing.send(names.OUT_EXCHANGE, [Publication(client_added("demo", "alice", "bob"), b"{}")], None)
        await publishing.close()
