"""Opens a line to RabbitMQ: AMQP over TLS, logged in by client certificate (rabbitmq/README.md, "Who may log in")."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import aiormq
from aiormq.abc import AbstractChannel
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPError, ChannelInvalidStateError
from yarl import URL

from observer.broker.lane import CHANNEL, Lane, LaneTransport, OnDelivery
from observer.errors import BrokerUnavailable, ConfigError

CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How to reach the broker, and how patient to be with it."""

    host: str
    port: int
    server_name: str
    vhost: str
    ca_file: Path
    cert_file: Path
    key_file: Path
    heartbeat_s: int
    confirm_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """An open connection with its one channel."""

    connection: aiormq.Connection
    channel: AbstractChannel
    frame_max: int
    transport: LaneTransport

    def write(self, payload: bytes) -> None:
        """Send whole frames, past the library; a round trip on the channel makes sure of them.

        Raises BrokerUnavailable. Bounded, because whoever writes waits for confirms or holds a limited prefetch.
        """
        if self.connection.is_closed:
            raise BrokerUnavailable("the line to the broker is closed")
        self.transport.write(payload)

    async def consume(self, queue: str, tag: str, *, prefetch: int) -> None:
        """Have the broker deliver what is in `queue`, to the lane, at most `prefetch` at once."""
        await self.channel.basic_qos(prefetch_count=prefetch)
        await self.channel.basic_consume(queue, _passed_by, consumer_tag=tag)

    async def close(self) -> None:
        """Say goodbye, but do not wait long for a peer that does not answer."""
        await _leave(self.connection, self.transport)


async def _leave(connection: aiormq.Connection | aio_pika.Connection, transport: "LaneTransport | _Transport") -> None:
    """Close in order if the broker answers soon: under an alarm it reads nothing from who has published.

    The line is cut rather than the wait: cancelled, the library goes on waiting for the end of TLS, half a minute.
    """
    cut = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, transport.abort)
    try:
        await connection.close()
    finally:
        cut.cancel()


async def _passed_by(_: object) -> None:
    """What the library would call with deliveries; the lane takes them all before it."""


def url(options: BrokerOptions, name: str) -> URL:
    """The address as the AMQP libraries take it. Holds no secret: the certificate is the log-in."""
    return URL.build(
        scheme="amqps",
        host=options.host,
        port=options.port,
        path="/" + options.vhost.replace("/", "%2F"),
        query={"auth": "external", "heartbeat": str(options.heartbeat_s), "name": name},
        encoded=True,
    )


def tls_context(options: BrokerOptions) -> ssl.SSLContext:
    """The observer's certificate and the one authority it believes. Raises ConfigError for an unusable file."""
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(options.ca_file))
        context.load_cert_chain(options.cert_file, options.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"broker.ca_file, broker.cert_file or broker.key_file cannot be used ({error}): "
            f"looked for {options.ca_file}, {options.cert_file} and {options.key_file}; `observer setup` makes them"
        ) from error
    return context


class _Transport(TransportFactory):
    """TLS with the name that we expect in the broker's certificate, which need not be that of its address."""

    def __init__(self, options: BrokerOptions) -> None:
        self._context = tls_context(options)
        self._server_name = options.server_name or options.host
        self._line: asyncio.WriteTransport | None = None

    def abort(self) -> None:
        """Cut the line at once, if there is one."""
        if self._line is not None:
            self._line.abort()

    async def create(self, url: URL, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            url.host, url.port, ssl=self._context, server_hostname=self._server_name
        )
        self._line = writer.transport
        return reader, writer


@contextmanager
def line_errors(doing: str) -> Iterator[None]:
    """Turn every way in which the library says that a line is gone into BrokerUnavailable.

    It says so with its own errors, with a RuntimeError, with a bare Exception, or by cancelling whoever waits for an
    answer on it.
    """
    try:
        yield
    except (AMQPError, OSError, ChannelInvalidStateError, TimeoutError) as error:
        raise BrokerUnavailable(f"{doing}: {str(error) or type(error).__name__}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BrokerUnavailable(f"{doing}: the line was closed meanwhile") from error
    except Exception as error:
        # What aiormq ends a wait with when it knows no reason, and what it answers when the connection is closed.
        if type(error) not in (Exception, RuntimeError):
            raise
        raise BrokerUnavailable(f"{doing}: the line was closed meanwhile") from error


@asynccontextmanager
async def control_line(options: BrokerOptions, name: str) -> AsyncIterator[aio_pika.Connection]:
    """An aio-pika connection for everything that is not the hot path. Raises BrokerUnavailable, ConfigError."""
    connection, transport = aio_pika.Connection(url(options, name)), _Transport(options)
    connection.kwargs["transport_factory"] = transport
    with line_errors(f"no AMQP connection to {options.host}:{options.port}"):
        await connection.connect(timeout=CONNECT_TIMEOUT_S)
    try:
        yield connection
    finally:
        await _leave(connection, transport)


async def connect(
    options: BrokerOptions,
    name: str,
    *,
    on_delivery: OnDelivery = lambda *_: None,
    on_confirm: Callable[[int, bool, bool], None] = lambda *_: None,
    on_lost: Callable[[int, str], None] = lambda *_: None,
    confirms: bool = False,
    wanted_headers: frozenset[bytes] = frozenset(),
    max_body: int | None = None,
) -> Line:
    """Open a connection and its channel; `name` is what operators see in the broker's list; for the rest see Lane.

    Raises BrokerUnavailable, or ConfigError for files that cannot be used.
    """

    def make_lane(reader: asyncio.StreamReader) -> Lane:
        return Lane(
            reader,
            wanted_headers=wanted_headers,
            on_delivery=on_delivery,
            on_confirm=on_confirm,
            on_lost=on_lost,
            max_body=max_body,
        )

    transport = LaneTransport(make_lane, tls_context(options), options.server_name or options.host)
    try:
        with line_errors(f"no AMQP connection to {options.host}:{options.port}"):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = aiormq.Connection(url(options, name), transport_factory=transport)
                await connection.connect()
                channel = await connection.channel(CHANNEL, publisher_confirms=confirms)
    except BaseException:
        transport.abort()
        raise
    return Line(connection, channel, connection.connection_tune.frame_max, transport)
