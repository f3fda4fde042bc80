"""`observer run`: the main job. Starts, and stops on SIGTERM or Ctrl-C."""

import click
import uvloop

from observer.app import run as run_observer
from observer.app import stopped_by_signals
from observer.cli.context import Context
from observer.logs import configure_logging
from observer.settings import Settings


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
    settings = context.settings
    configure_logging(settings.log.level, settings.log.format)
    uvloop.run(_until_stopped(settings))


async def _until_stopped(settings: Settings) -> None:
    async with stopped_by_signals() as stop:
        await run_observer(settings, stop=stop)
