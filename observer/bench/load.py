"""Open-loop load: connected pairs of users that send on a fixed schedule, whatever the system does meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from time import monotonic
from typing import TypeAlias

from observer.bench.inbox import Board, Inbox
from observer.bench.mqtt import KEEPALIVE_S, Login, MqttClient, open_client
from observer.bench.pace import pacing
from observer.bench.routes import RUN_LENGTH, Stream
from observer.bench.tally import Step, Tally

Progress: TypeAlias = Callable[[str], None]
_CONNECTING_AT_ONCE = 32
_LOOK_EVERY_S = 0.05
_TELL_EVERY_S = 1.0
_LINGER_S = 0.3  # copies that should not come at all (duplicates) get this long to show up
_LEAD_S = 0.05


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Where the load goes, and how."""

    host: str
    port: int
    inbox_qos: int
    publish_qos: int
    drain_s: float
    """A step that has not heard anything for so long after its last message is over, complete or not."""


class Load:
    """Connected clients that carry one step after the other. Made by `open_load`."""

    def __init__(
        self, options: LoadOptions, board: Board, clients: Sequence[MqttClient], streams: Sequence[Stream]
    ) -> None:
        self._options = options
        self._board = board
        self._clients = clients
        self._streams = streams
        self._numbered = 0

    @property
    def broken(self) -> Sequence[str]:
        """Connections that ended on their own: user and reason."""
        return self._board.broken

    async def run(self, rate: float, seconds: float, progress: Progress) -> Tally:
        """Send `rate` messages a second for `seconds`, then wait until everything has arrived or nothing more does."""
        step = Step(
            run=token_hex(RUN_LENGTH // 2),
            first=self._numbered,
            rate=rate,
            count=max(1, round(rate * seconds)),
            streams=len(self._streams),
            start_s=monotonic() + _LEAD_S,
        )
        self._numbered += step.count
        self._board.tally = tally = Tally(step, publish_qos=self._options.publish_qos)
        with pacing(step, self._sender(tally)):
            await self._watch(tally, progress)
        self._board.tally = None
        return tally

    async def _watch(self, tally: Tally, progress: Progress) -> None:
        told_s = monotonic()
        while not self._is_over(tally):
            await asyncio.sleep(_LOOK_EVERY_S)
            if monotonic() - told_s >= _TELL_EVERY_S:
                told_s = monotonic()
                progress(tally.told())
        await asyncio.sleep(_LINGER_S)

    def _is_over(self, tally: Tally) -> bool:
        quiet_since_s = max(tally.last_event_s, tally.step.end_s)
        return tally.is_complete() or monotonic() - quiet_since_s > self._options.drain_s

    def _sender(self, tally: Tally) -> Callable[[], None]:
        """A function that sends whatever is due."""
        step, unsent = tally.step, iter(range(tally.step.count))
        number = next(unsent, None)

        def send_due() -> None:
            nonlocal number
            while number is not None and step.due_s(number) <= monotonic():
                self._send(tally, number)
                number = next(unsent, None)

        return send_due

    def _send(self, tally: Tally, number: int) -> None:
        stream = self._streams[number % len(self._streams)]
        client = self._clients[stream.sender]
        if not client.can_publish:
            return
        tally.sent(number, monotonic())
        payload = stream.payload(tally.step.run, number)
        for topic in stream.topics:
            client.publish(topic, payload, tally.step.first + number, qos=self._options.publish_qos)


@asynccontextmanager
async def open_load(
    options: LoadOptions, users: Sequence[str], logins: Sequence[Login], streams: Sequence[Stream]
) -> AsyncIterator[Load]:
    """Connect all users (`logins` in the same order), and hang up at the end.

    Raises BrokerUnavailable or Refused when one of them does not get in.
    """
    board = Board()
    clients = await _connect_all(options, users, logins, board)
    keeping_alive = asyncio.create_task(_keep_alive(clients))
    try:
        yield Load(options, board, clients, streams)
    finally:
        keeping_alive.cancel()
        for client in clients:
            client.close()
        await asyncio.sleep(0)  # lets the transports send what `close` wrote


async def _connect_all(
    options: LoadOptions, users: Sequence[str], logins: Sequence[Login], board: Board
) -> list[MqttClient]:
    gate = asyncio.Semaphore(_CONNECTING_AT_ONCE)

    async def connect(user: str, login: Login) -> MqttClient:
        async with gate:
            return await open_client(options.host, options.port, login, Inbox(user, board), inbox_qos=options.inbox_qos)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(connect(*pair)) for pair in zip(users, logins, strict=True)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _keep_alive(clients: Sequence[MqttClient]) -> None:
    while True:
        await asyncio.sleep(KEEPALIVE_S / 2)
        for client in clients:
            client.ping()
