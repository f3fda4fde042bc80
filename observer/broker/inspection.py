"""Looks at a broker without changing anything: its version, who may log in, and what of our topology is there."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pamqp.commands
import pamqp.frame
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.exceptions import PAMQPException

from observer.broker import names
from observer.broker.connect import CONNECT_TIMEOUT_S, BrokerOptions, Line, connect, line_errors, tls_context
from observer.errors import BrokerUnavailable, ConfigError

_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_FRAME_HEADER_BYTES = 7


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the broker says to anybody, before a log-in."""

    version: str
    mechanisms: Sequence[str]
    """The ways to log in over AMQP; all but EXTERNAL let tokens in (docs/facts.md, "Tokens over AMQP")."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue, now."""

    messages: int
    consumers: int


@dataclass(frozen=True, slots=True)
class Topology:
    """What is there of what was asked for."""

    missing_exchanges: Sequence[str]
    queues: Mapping[str, QueueState | None]
    """None for a queue that is not there."""


async def greet(options: BrokerOptions) -> Greeting:
    """Connect, listen to the greeting, leave. Raises BrokerUnavailable, or ConfigError for unusable files."""
    context = tls_context(options)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                options.host, options.port, ssl=context, server_hostname=options.server_name or options.host
            )
            try:
                writer.write(_PROTOCOL_HEADER)
                return await _read_greeting(reader)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, EOFError, PAMQPException) as error:
        reason = str(error) or type(error).__name__
        raise BrokerUnavailable(f"no AMQP greeting from {options.host}:{options.port}: {reason}") from error


async def find_topology(options: BrokerOptions, exchanges: Iterable[str], queues: Iterable[str]) -> Topology:
    """Ask for each exchange and queue by name. Raises BrokerUnavailable, ConfigError."""
    line = await connect(options, "doctor")
    try:
        with line_errors("the broker does not tell its topology"):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                missing = [name for name in exchanges if not await _has_exchange(line, name)]
                return Topology(missing, {name: await _queue_state(line, name) for name in queues})
    finally:
        await line.close()


async def is_every_shard_read(options: BrokerOptions, shards: int) -> bool:
    """Whether the broker has no shard beyond the `shards` that are read; False also if it cannot be asked now.

    Raises ConfigError if it has more: what goes there would wait for ever, acknowledged.
    """
    beyond = names.shard_queue(shards)
    try:
        found = await find_topology(options, (), (beyond,))
    except BrokerUnavailable:
        return False
    if found.queues[beyond] is not None:
        raise ConfigError(
            f"broker.shards is {shards}, but the broker has more: what goes to {beyond} would be read by nobody; "
            "set it to the number that the broker was set up with"
        )
    return True


async def _read_greeting(reader: asyncio.StreamReader) -> Greeting:
    header = await reader.readexactly(_FRAME_HEADER_BYTES)
    rest = await reader.readexactly(int.from_bytes(header[3:7]) + 1)
    _, _, start = pamqp.frame.unmarshal(header + rest)
    match start:
        case pamqp.commands.Connection.Start(server_properties=properties, mechanisms=mechanisms):
            return Greeting(str(properties.get("version", "")), (mechanisms or "").split())
        case _:
            raise EOFError(f"it said {start!r}")


async def _has_exchange(line: Line, name: str) -> bool:
    """A channel for each question: the broker closes it over a name that is not there."""
    channel = await line.connection.channel()
    try:
        await channel.exchange_declare(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True


async def _queue_state(line: Line, name: str) -> QueueState | None:
    channel = await line.connection.channel()
    try:
        found = await channel.queue_declare(name, passive=True)
    except ChannelNotFoundEntity:
        return None
    await channel.close()
    return QueueState(found.message_count or 0, found.consumer_count or 0)
