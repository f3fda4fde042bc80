"""Serving the HTTP API inside the program's own event loop: no signal handlers, a graceful stop, a clear refusal."""

import asyncio
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from observer.errors import ConfigError

BACKLOG = 2048


class _Server(uvicorn.Server):
    """uvicorn, leaving the signals to app.py."""

    servers: list[asyncio.Server]

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.servers = []

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def end_at_once(self) -> None:
        """Stop listening and let go of every connection; uvicorn itself does so only when it stops in order."""
        for listening in self.servers:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for request in self.server_state.tasks:
            request.cancel()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises ConfigError that names the key if it cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(
            f"OBSERVER_API__HOST={host!r} is not an address of this machine: {error.strerror}."
        ) from error
    family, _, _, _, address = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"Cannot listen on {host} port {port}: {error.strerror}. "
            "Stop what uses it, or set OBSERVER_API__PORT (or OBSERVER_API__HOST) to another one."
        ) from error
    listener.setblocking(False)
    return listener


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    stop: asyncio.Event,
    drain_timeout_s: float,
    trusted_proxies: Sequence[str] = (),
) -> None:
    """Serve `app` on `listener` until `stop` is set, then finish the requests in flight within `drain_timeout_s`.

    Closes `listener`. A cancellation ends it at once. `X-Forwarded-For` is believed from `trusted_proxies` only.
    """
    server = _Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            lifespan="off",
            http="h11",
            ws="none",
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            timeout_graceful_shutdown=max(1, round(drain_timeout_s)),
        )
    )
    watcher = asyncio.create_task(_exit_when(stop, server), name="api_stop")
    try:
        await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        server.end_at_once()
        raise
    finally:
        watcher.cancel()
        listener.close()


async def _exit_when(stop: asyncio.Event, server: uvicorn.Server) -> None:
    await stop.wait()
    server.should_exit = True
