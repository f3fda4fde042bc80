"""`observer run`: the main job. Starts, and stops on SIGTERM or Ctrl-C."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

import click
import structlog
import uvloop

from observer.app import run as run_observer
from observer.app import stopped_by_signals
from observer.cli.context import Context
from observer.local.run import run_local
from observer.logs import configure_logging
from observer.settings import Settings
from observer.settings_checks import risks

log = structlog.get_logger()


@click.command()
@click.option(
    "--local",
    is_flag=True,
    help="Start a private RabbitMQ as well, on loopback, with keys and secrets made on the spot.",
)
@click.pass_obj
def run(context: Context, local: bool) -> None:
    """Run the observer: read the shards, and serve the HTTP API.

    It stops on SIGTERM and on Ctrl-C: messages in hand are finished, the others go back to the broker.

    With --local it needs nothing but this machine, and says how to connect; `make run` is this.
    """
    if local:
        uvloop.run(_with_a_private_broker())
    else:
        settings = context.settings
        configure_logging(settings.log.level, settings.log.format)
        uvloop.run(_until_stopped(settings))


async def _until_stopped(settings: Settings) -> None:
    for risk in risks(settings):
        log.warning("risky_setting", reason=risk)
    async with stopped_by_signals() as stop:
        await run_observer(settings, stop=stop)


async def _with_a_private_broker() -> None:
    """The set-up may take minutes, so a signal ends it at once; the observer, once it runs, ends in order."""
    async with stopped_by_signals() as stop:
        has_begun = asyncio.Event()

        async def observe(settings: Settings, on_ready: Callable[[], None]) -> None:
            has_begun.set()
            configure_logging("warning" if settings.log.level == "info" else settings.log.level, settings.log.format)
            await run_observer(settings, stop=stop, on_ready=on_ready)
            _say("Stopped.")

        local = asyncio.create_task(run_local(os.environ, observe, say=_say))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((local, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not has_begun.is_set() and stop.is_set():
            local.cancel()
        with suppress(asyncio.CancelledError):
            await local


def _say(text: str) -> None:
    # A terminal that was closed, or a pipe that nobody reads, must not keep us from stopping what we started.
    with suppress(OSError):
        click.echo(text)
