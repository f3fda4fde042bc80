"""`observer setup`: keys, certificates and the broker's configuration."""

import os
import re
from dataclasses import fields, replace
from pathlib import Path

import click

from observer import topics
from observer.cli.context import Context
from observer.local.programs import find_programs
from observer.setup.broker_files import LOOPBACK, BrokerPorts
from observer.setup.set_up import Places, SetUpOptions, chat21_key, set_up

NEWEST_SERIES = (4, 3)
_SERVER_NAME = re.compile(r"[A-Za-z0-9.:*-]+", re.ASCII)


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default="var",
    show_default=True,
    help="Folder for keys, certificates, the API key and the settings file.",
)
@click.option(
    "--broker-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for what RabbitMQ reads; `rabbitmq` below --dir if not given. Its path must be the same for RabbitMQ.",
)
@click.option("--broker-version", metavar="X.Y", help="RabbitMQ's version; that of the one found here, or 4.3.")
@click.option("--shards", type=click.IntRange(1, 256), help="Number of shard queues; `broker.shards` if not given.")
@click.option("--app", default="demo", show_default=True, help="App that the API key is good for.")
@click.option("--server-name", "server_names", multiple=True, help="Host name or address in the broker's certificate.")
@click.option("--client-address", default=LOOPBACK, show_default=True, help="Where MQTT and WebSocket listen.")
@click.option(
    "--private-address", default=LOOPBACK, show_default=True, help="Where AMQP, management and metrics listen."
)
@click.option("--port", "ports", multiple=True, metavar="NAME=PORT", help="Another port, as in mqtt=1884. May repeat.")
@click.pass_obj
def setup(
    context: Context,
    directory: Path,
    broker_dir: Path | None,
    broker_version: str | None,
    shards: int | None,
    app: str,
    server_names: tuple[str, ...],
    client_address: str,
    private_address: str,
    ports: tuple[str, ...],
) -> None:
    """Make keys, certificates and the broker's configuration.

    What is there already is kept: call it again after an update, or with other options.
    """
    settings = context.settings
    check_names(app, server_names)
    places = set_up(
        SetUpOptions(
            directory=directory,
            broker_version=parse_version(broker_version),
            broker_directory=broker_dir,
            app=app,
            shards=shards or settings.broker.shards,
            ports=parse_ports(ports),
            client_address=client_address,
            private_address=private_address,
            server_names=server_names,
            api_port=settings.api.port,
            algorithm=settings.tokens.algorithm,
            chat21_key=chat21_key(settings.tokens),
        )
    )
    show(places)


def parse_version(text: str | None) -> tuple[int, int]:
    """`4.3` as a pair; without it, the version of the RabbitMQ on this machine, or the newest that we know."""
    if text is None:
        programs = find_programs(os.environ)
        return programs.version if programs else NEWEST_SERIES
    major, _, minor = text.partition(".")
    if not major.isdecimal() or not (minor or "0").split(".")[0].isdecimal():
        raise click.BadParameter(f"{text!r} is not a version such as 3.10 or 4.3", param_hint="--broker-version")
    return int(major), int((minor or "0").split(".")[0])


def check_names(app: str, server_names: tuple[str, ...]) -> None:
    """Raise BadParameter or InvalidTopic for a name that what is written here could not hold."""
    topics.check_app(app)
    for name in server_names:
        if not _SERVER_NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r} is no host name or address in ASCII", param_hint="--server-name")


def parse_ports(choices: tuple[str, ...]) -> BrokerPorts:
    """The default ports, with these choices (`mqtt=1884`) instead."""
    known = [field.name for field in fields(BrokerPorts)]
    chosen: dict[str, int] = {}
    for choice in choices:
        name, _, number = choice.partition("=")
        if name not in known or not number.isdecimal() or not 1 <= int(number) <= 65535:
            raise click.BadParameter(
                f"{choice!r} is not NAME=PORT with a name of {', '.join(known)}", param_hint="--port"
            )
        chosen[name] = int(number)
    return replace(BrokerPorts(), **chosen)


def show(places: Places) -> None:
    """Say what is where."""
    click.echo(f"signing keys          {places.keys} (keep them: every token hangs on them)")
    click.echo(f"certificates          {places.certificates} (give ca.pem to clients that use TLS)")
    click.echo(f"RabbitMQ's files      {places.broker}")
    click.echo(f"API key               {places.api_key}")
    click.echo(f"observer's settings   {places.settings} (observer --config {places.settings} ...)")
