"""How the observer processes know of each other: each says once a second, over a fanout exchange, that it lives.

A process that stops, or that cannot work, says so and is forgotten at once; one that dies, after EXPIRY_S.
One that cannot work takes part only where nobody else is: there it holds what it has.
Until a process has heard the others it takes every shard: where another consumes, it is only the standby.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

import structlog
from aio_pika import Message
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from observer.broker import names
from observer.broker.assignment import living
from observer.broker.connect import BrokerOptions, control_line, line_errors
from observer.errors import BrokerUnavailable

log = structlog.get_logger()

BEAT_S = 1.0
EXPIRY_S = 3.5
RECONNECT_S = 1.0
_LIVES, _LEAVES = b"lives", b"leaves"


class Membership:
    """Beats, listens, and calls `on_change(members)` whenever the set of living processes changes."""

    def __init__(
        self,
        options: BrokerOptions,
        *,
        can_work: Callable[[], bool],
        on_change: Callable[[frozenset[str]], None],
        on_reconnect: Callable[[], None],
    ) -> None:
        self.member = token_hex(8)
        self._options = options
        self._can_work = can_work
        self._on_change = on_change
        self._on_reconnect = on_reconnect
        self._last_seen_s: dict[str, float] = {}
        self._members: frozenset[str] = frozenset()
        self._lost = asyncio.Event()
        self._is_stopping = asyncio.Event()

    def stop(self) -> None:
        """Say goodbye; `run` returns soon after."""
        self._is_stopping.set()
        self._lost.set()

    async def run(self) -> None:
        """Beat until `stop`, over as many connections as it takes. Without the broker, what was known stays."""
        self._hear(self.member)
        while not self._is_stopping.is_set():
            try:
                await self._beat_on_one_line()
            except BrokerUnavailable as error:
                log.warning("members_line_lost", reason=str(error))
                self._on_reconnect()
                self._last_seen_s = {self.member: self._now_s()}  # nobody can be heard; the broker fences the shards
                with suppress(TimeoutError):
                    async with asyncio.timeout(RECONNECT_S):
                        await self._is_stopping.wait()

    async def _beat_on_one_line(self) -> None:
        self._lost.clear()
        with line_errors("the processes cannot hear each other"):
            await self._beat_until_stopped()

    async def _beat_until_stopped(self) -> None:
        async with control_line(self._options, f"members {self.member}") as connection:
            connection.close_callbacks.add(lambda *_: self._lost.set())
            channel = await connection.channel(publisher_confirms=False)
            exchange = await channel.get_exchange(names.MEMBER_EXCHANGE, ensure=False)
            queue = await channel.declare_queue(names.MEMBER_QUEUE_PREFIX + self.member, exclusive=True)
            await queue.bind(exchange)
            await queue.consume(self._note_message, no_ack=True)
            while not self._is_stopping.is_set():
                await self._say(exchange, _LIVES if self._can_work() else _LEAVES)
                self._hear(self.member)
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S):
                        await self._lost.wait()
                        if not self._is_stopping.is_set():
                            raise BrokerUnavailable("lost the line on which the processes hear each other")
            await self._say(exchange, _LEAVES)

    async def _say(self, exchange: AbstractExchange, what: bytes) -> None:
        await exchange.publish(Message(what + b" " + self.member.encode()), routing_key="")

    async def _note_message(self, message: AbstractIncomingMessage) -> None:
        what, _, member = message.body.partition(b" ")
        if what == _LEAVES:
            self._last_seen_s.pop(member.decode(errors="replace"), None)
            self._update()
        elif what == _LIVES:
            self._hear(member.decode(errors="replace"))

    def _hear(self, member: str) -> None:
        self._last_seen_s[member] = self._now_s()
        self._update()

    def _update(self) -> None:
        members = living(self._last_seen_s, self._now_s(), EXPIRY_S) - {self.member}
        if self._can_work() or not members:
            members |= {self.member}
        if members != self._members:
            self._members = members
            self._last_seen_s = {member: seen for member, seen in self._last_seen_s.items() if member in members}
            log.info("members_changed", members=len(members))
            self._on_change(members)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
