"""The broker port: what the pipeline asks of RabbitMQ, and what it gets.

One adapter, the other files of this folder. AMQP names and numbers stay behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from observer.message import Publication


class Outcome(Enum):
    """What becomes of a delivery that could not be done; `pipeline/settle.py` alone decides."""

    RETRY = "retry"  # tried again later, by the broker, with a growing delay
    DEAD_LETTER = "dead_letter"  # parked where an operator can list, read and replay it


@dataclass(frozen=True, slots=True)
class Incoming:
    """One delivery from a shard queue."""

    tag: int
    routing_key: str
    """Invalid UTF-8 arrives with backslash escapes, and `is_valid_text` False."""
    body: bytes = field(repr=False)
    is_redelivered: bool = False
    returns: int = 0
    """How often the broker took it back because who had it died, or left without having settled it."""
    attempt: int = 1
    """1 at first; counts the tries that ended in RETRY."""
    message_id: str | None = None
    """The id that the message had in an earlier try that ended in RETRY or DEAD_LETTER."""
    is_replayed: bool = False
    """An operator sent it on its way again."""
    is_valid_text: bool = True
    broker_time_ms: int | None = None
    """When the broker received it (RabbitMQ 4.2+, cannot be forged); None where the broker does not stamp."""
    client_id: str | None = None
    """MQTT client id, stamped by the broker (4.x)."""
    left_out: int = 0
    """Size in bytes of a body that was too large to be kept; `body` is empty then."""


class Publisher(Protocol):
    """Publishes with confirms."""

    async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
        """Publish all of them in this order and wait until the broker has answered for each.

        Returns the indexes of those it refused (nack) and that failed again on a fresh connection; empty is success.
        Raises BrokerUnavailable when there is no broker to ask: then none may be counted as published.
        """
        ...


class ShardQueue(Protocol):
    """The consuming end of one shard queue.

    Leaving it closes the line, and that is the only way to give deliveries back in order: at a basic.cancel the broker
    starts the next consumer at once, behind what this one still holds. It counts one try for each delivery in hand.
    """

    @property
    def is_lost(self) -> bool:
        """Whether the line is gone; what was not settled will be delivered again."""
        ...

    async def receive(self, limit: int) -> Sequence[Incoming]:
        """At least one delivery, waiting for it; more, up to `limit`, only if they are there already: see `take`.

        None at all after `interrupt`. Raises BrokerUnavailable when the line is lost.
        """
        ...

    def take(self, limit: int) -> Sequence[Incoming]:
        """What is there already, up to `limit` or as many as have large bodies; maybe nothing."""
        ...

    def interrupt(self) -> None:
        """Let a waiting `receive`, and every later one, return nothing."""
        ...

    def holds(self, delivery: Incoming) -> bool:
        """Whether it is still to be settled."""
        ...

    async def acknowledge(self, deliveries: Sequence[Incoming]) -> None:
        """They are done: stored and shown, or refused and told."""
        ...

    async def park(self, delivery: Incoming, outcome: Outcome, *, reason: str, message_id: str | None) -> None:
        """Have it tried again later, or found by an operator; `reason` and `message_id` travel with it."""
        ...
