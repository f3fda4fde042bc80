"""The dead-letter queue, for an operator: read it without changing it, replay or drop what is chosen.

A message gets there in two ways: the observer parked it, with the history in headers of ours; or the broker did, with
the history in `x-death`: it had been delivered too often (docs/facts.md, "Topics over 255 bytes"), or it had expired.
"""

import asyncio
import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from pamqp import decode

from observer import topics
from observer.broker import names, wire
from observer.broker.connect import BrokerOptions, Line, connect, line_errors
from observer.broker.headers import OF_THE_DEAD, Headers, client_id, message_id, number, received_ms
from observer.broker.lane import CHANNEL
from observer.broker.publisher import ConfirmingPublisher
from observer.errors import BrokerUnavailable, InvalidTopic, Refused
from observer.message import Publication

QUIET_S = 2.0
"""The broker has sent all it has when nothing comes for so long; then somebody else is reading the queue too."""
_CONSUMER = "dead-letters"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of the dead-letter queue."""

    tag: int
    routing_key: str
    """What it was published with, or "" if that is not known; bytes that are no text are shown as escapes."""
    reason: str
    body: bytes = field(repr=False)
    came_from: str | None = None
    """The queue in which it died."""
    dead_since_ms: int | None = None
    received_ms: int | None = None
    """When the broker got it from its sender."""
    attempt: int | None = None
    """Tries that the observer made; None if it never got hold of the message."""
    client_id: str | None = None
    message_id: str | None = None
    """The id that it had here; None if it was never decoded."""

    @property
    def id(self) -> str:
        """A short name that stays the same from one listing to the next. Equal messages share it."""
        known = f"{self.routing_key}\n{self.dead_since_ms}\n{self.received_ms}\n".encode()
        return hashlib.sha256(known + self.body).hexdigest()[:10]

    @property
    def why_not_replayable(self) -> str | None:
        """Why it would only die again, or None."""
        if not self.routing_key:
            return "its topic is not known"
        try:
            topics.parse(self.routing_key)
        except InvalidTopic as error:
            return error.reason
        return None


def dead_letter(tag: int, headers: Headers, body: bytes) -> DeadLetter:
    """One delivery of the dead-letter queue in an operator's terms."""
    attempt, deaths = number(headers, b"x-observer-attempt"), headers.get(b"x-death")
    if attempt is not None and not isinstance(deaths, wire.RawList):  # parked by us; else a retry that died later
        return DeadLetter(
            tag=tag,
            routing_key=_text(headers.get(b"x-observer-routing-key")),
            reason=_text(headers.get(b"x-observer-reason")) or "unknown",
            body=body,
            dead_since_ms=number(headers, b"timestamp_in_ms"),
            received_ms=number(headers, b"x-observer-time-ms"),
            attempt=attempt,
            client_id=client_id(headers),
            message_id=message_id(headers),
        )
    death = _newest_death(deaths) if isinstance(deaths, wire.RawList) else {}
    return DeadLetter(
        tag=tag,
        routing_key=_text(next(iter(death.get("routing-keys", ())), "")),
        reason=_text(death.get("reason", "unknown")),
        body=body,
        came_from=_text(death.get("queue")) or None,
        dead_since_ms=round(death["time"].timestamp() * 1000) if "time" in death else None,
        received_ms=received_ms(headers),
        client_id=client_id(headers),
        message_id=message_id(headers),
    )


class DeadLetters:
    """A view of the queue. Use as an async context manager; what was not replayed or dropped stays in the queue."""

    def __init__(self, options: BrokerOptions) -> None:
        self._options = options
        self._line: Line | None = None
        self._letters: list[DeadLetter] = []
        self._arrived = asyncio.Event()
        self._lost: BrokerUnavailable | None = None
        self._publisher = ConfirmingPublisher(
            options, "dead-letters replay", on_nack=lambda _: None, on_reconnect=lambda: None
        )

    async def __aenter__(self) -> Self:
        """Raises BrokerUnavailable."""
        self._line = await connect(
            self._options,
            "dead-letters",
            on_delivery=self._note_delivery,
            on_lost=self._note_lost,
            wanted_headers=OF_THE_DEAD,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._publisher.__aexit__(kind, error, trace)
        if self._line is None:
            return
        try:
            if self._lost is None:
                await self._give_back(self._line)
        finally:
            await self._line.close()

    async def read(self, limit: int) -> tuple[Sequence[DeadLetter], int]:
        """Up to `limit` messages from the head of the queue, and how many it holds. Raises BrokerUnavailable."""
        line = self._open_line()
        with line_errors(f"cannot read the queue {names.DEAD_QUEUE}"):
            declared = await line.channel.queue_declare(names.DEAD_QUEUE, passive=True)
            count = declared.message_count or 0
            await line.consume(names.DEAD_QUEUE, _CONSUMER, prefetch=limit)
            while len(self._letters) < min(limit, count) and await self._is_more_coming():
                pass
            await line.channel.basic_cancel(_CONSUMER)
        return list(self._letters), count

    async def replay(self, letter: DeadLetter) -> None:
        """Send it on its way again as if just published, and only then take it out of the queue.

        It keeps its id, or what that is made of, so a message that was stored after all is not stored again; its copies
        go out again, since nobody knows whether they did.
        Raises Refused for one that could only die again, and BrokerUnavailable.
        """
        if reason := letter.why_not_replayable:
            raise Refused(f"{letter.id} cannot be replayed: {reason}")
        headers: dict[str, wire.HeaderValue] = {"x-observer-attempt": 1, "x-observer-replay": 1}
        if letter.message_id is not None:
            headers["x-observer-id"] = letter.message_id
        if letter.received_ms is not None:
            headers["x-observer-time-ms"] = letter.received_ms
        if letter.client_id is not None:
            headers["x-opt-mqtt-client-id"] = letter.client_id
        publication = Publication(letter.routing_key, letter.body)
        if await self._publisher.publish_to(names.TOPIC_EXCHANGE, [publication], headers):
            raise BrokerUnavailable(f"the broker refused to take {letter.id} again; it stays in {names.DEAD_QUEUE}")
        await self.drop(letter)

    async def drop(self, letter: DeadLetter) -> None:
        """Take it out of the queue for good."""
        self._open_line().write(wire.encode_ack(CHANNEL, letter.tag, multiple=False))
        self._letters.remove(letter)

    async def _give_back(self, line: Line) -> None:
        """Just hanging up would count as a failed delivery of each (docs/facts.md, "Deliveries given back")."""
        line.write(b"".join(wire.encode_requeue(CHANNEL, one.tag) for one in self._letters))
        with line_errors(f"lost the line to {names.DEAD_QUEUE}"):
            await line.channel.basic_qos(prefetch_count=1)  # an answer to it means that all before it was read

    async def _is_more_coming(self) -> bool:
        self._arrived.clear()
        try:
            async with asyncio.timeout(QUIET_S):
                await self._arrived.wait()
        except TimeoutError:
            return False
        if self._lost is not None:
            raise self._lost
        return True

    def _open_line(self) -> Line:
        if self._lost is not None:
            raise self._lost
        if self._line is None:
            raise BrokerUnavailable("the dead-letter queue is not open")
        return self._line

    def _note_delivery(
        self, delivery: wire.Delivery, headers: dict[bytes, wire.HeaderValue], body: bytes, _size: int
    ) -> None:
        self._letters.append(dead_letter(delivery.tag, headers, body))
        self._arrived.set()

    def _note_lost(self, code: int, text: str) -> None:
        self._lost = self._lost or BrokerUnavailable(f"lost the line to {names.DEAD_QUEUE}: {code} {text}")
        self._arrived.set()


def _newest_death(raw: wire.RawList) -> Mapping[str, Any]:
    """The first entry of `x-death` (RabbitMQ, "Dead Letter Exchanges": newest first); empty if it cannot be read."""
    try:
        _, deaths = decode.field_array(struct.pack(">I", len(raw)) + raw)
    except (ValueError, struct.error):
        return {}
    return next((death for death in deaths if isinstance(death, dict)), {})


def _text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value or "")
