"""The command line, `observer`: one file a command, read only when the command is called.

Exit status: 0 done · 1 failed or refused · 2 configuration or usage · 3 a service is not available.
"""

import importlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from observer.cli.context import Context
from observer.errors import ConfigError, InvalidTopic, ObserverError, Unavailable
from observer.redaction import MAX_EXCEPTION_LENGTH, mask_text

COMMANDS: Mapping[str, str] = {
    "run": "Run the observer: read the shards, and serve the HTTP API.",
    "setup": "Make keys, certificates and the broker's configuration.",
    "check-config": "Show the configuration in force, and what is wrong with it.",
    "doctor": "Find out what is wrong with this set-up, and how to mend it.",
    "token": "Issue, explain and rotate broker tokens.",
    "chat": "Chat in the terminal.",
    "dead-letters": "List, show, replay and drop messages that could not be processed.",
    "bench": "Measure how many messages this set-up carries, and how fast.",
}
"""Every command and its one line in `--help`; `observer/cli/<name>.py` exports it under its name."""


class Failed(click.ClickException):
    """One of our errors on its way to the operator."""

    def show(self, file: Any = None) -> None:
        click.echo(f"observer: {self.message}", file=file, err=True)


class Misconfigured(Failed):
    """The operator has to change something."""

    exit_code = 2


class ServiceAway(Failed):
    """The same command may succeed later."""

    exit_code = 3


def failure(error: ObserverError) -> Failed:
    """`error` with the exit status that stands for it, and without secrets."""
    text = mask_text(str(error), max_length=MAX_EXCEPTION_LENGTH)
    match error:
        case ConfigError() | InvalidTopic():  # on the command line, only who called it can have named a wrong id
            return Misconfigured(text)
        case Unavailable():
            return ServiceAway(text)
        case _:
            return Failed(text)


class LazyGroup(click.Group):
    """A group that imports a command when it is called, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(importlib.import_module(f"observer.cli.{name}"), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"observer/cli/{name}.py exports no click command named {name}")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ObserverError as error:
            raise failure(error) from error


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit status: 0 done, 1 failed or refused, 2 wrong configuration or usage, 3 a service is not available.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="OBSERVER_CONFIG",
    show_envvar=True,
    help="TOML file with settings; OBSERVER_… variables win over it (docs/configuration.md).",
)
@click.version_option(package_name="inbox-observer", message="inbox-observer %(version)s")
@click.pass_context
def main(ctx: click.Context, config_file: Path | None) -> None:
    """Self-hosted one-to-one chat over MQTT: RabbitMQ in front, policies and storage behind.

    \b
    Try it:      observer run --local
    Deploy it:   observer setup, start RabbitMQ on what that wrote (docs/operations.md),
                 observer doctor, observer --config var/observer.toml run
    """
    logging.basicConfig(handlers=[logging.NullHandler()])  # what a library says, a command says in its own words
    ctx.obj = Context(config_file)
