"""`observer run --local`, which is `make run`: set-up, a private RabbitMQ, then the observer; and out again.

Everything listens on loopback. What it starts it stops; a second run finds the keys, the broker's data and the store.
"""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from observer.errors import BrokerUnavailable, ConfigError
from observer.local.broker import Say, Source, find_source, local_broker
from observer.local.node import Node, NodePlan
from observer.local.ports import free_ports, is_taken
from observer.local.sole_use import sole_use
from observer.settings import Settings
from observer.settings_load import load_settings
from observer.setup.broker_files import BrokerPorts
from observer.setup.set_up import SETTINGS_FILE, USUAL_API_PORT, Places, SetUpOptions, chat21_key, set_up

WATCH_S = 0.5
DEFAULT_DIRECTORY = Path("var")
SIDE_PORTS = ("mqtts", "websockets", "management", "prometheus")
"""Ports that no setting names: where the usual one is taken, any free one does."""

Observe = Callable[[Settings, Callable[[], None]], Awaitable[None]]
"""Runs the observer with these settings until it is told to stop; calls the second argument once it serves."""


async def run_local(
    environment: Mapping[str, str], observe: Observe, *, directory: Path = DEFAULT_DIRECTORY, say: Say
) -> None:
    """Do all of it; returns when `observe` does. Cancel it to stop earlier.

    Settings come from what an earlier run wrote into `directory`, and from `environment`, which wins.
    Raises ConfigError, with what to do, for a second run on `directory`, a taken port, a missing right or a broker that
    does not come up.
    """
    wished = read_settings(directory, environment)
    with sole_use(directory, endpoints(wished)):
        await _run_alone(wished, environment, observe, directory, say)


async def _run_alone(
    wished: Settings, environment: Mapping[str, str], observe: Observe, directory: Path, say: Say
) -> None:
    check_api_port(wished)
    say("Looking for RabbitMQ.")
    source = find_source(environment, say)
    say(f"Keys, certificates and configuration are in {directory}.")
    options = set_up_options(wished, directory, source)
    places = set_up(options)
    settings = read_settings(directory, environment)
    plan = NodePlan(places.broker.resolve(), (directory / "rabbitmq-state").resolve(), *free_ports(2))
    async with local_broker(source, plan, options.ports, say=say) as node:
        say("Starting the observer.")
        await _beside(node, observe(settings, lambda: say("\n".join(welcome(settings, options, places)))))


async def _beside(node: Node, observing: Awaitable[None]) -> None:
    """Wait for the observer; if RabbitMQ ends first, stop it and raise BrokerUnavailable."""
    task, ended = asyncio.ensure_future(observing), asyncio.create_task(_end_of(node))
    try:
        await asyncio.wait((task, ended), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise BrokerUnavailable(f"RabbitMQ ended by itself. {node.last_words()}")
        await task
    finally:
        for one in (task, ended):
            one.cancel()
        await asyncio.gather(task, ended, return_exceptions=True)


async def _end_of(node: Node) -> None:
    while not node.has_ended():  # noqa: ASYNC110 - a process that asyncio did not start can only be asked
        await asyncio.sleep(WATCH_S)


def read_settings(directory: Path, environment: Mapping[str, str]) -> Settings:
    """The settings of the last set-up in `directory`, if there was one, and of the environment."""
    file = directory / SETTINGS_FILE
    return load_settings(file if file.exists() else None, environment)


def endpoints(settings: Settings) -> str:
    """Where these settings are reached, in words."""
    return f"MQTT {settings.public.mqtt_url}, HTTP API http://{settings.api.host}:{settings.api.port}"


def set_up_options(settings: Settings, directory: Path, source: Source) -> SetUpOptions:
    """The set-up that fits these settings and this RabbitMQ."""
    return SetUpOptions(
        directory=directory,
        broker_version=source.version,
        shards=settings.broker.shards,
        ports=broker_ports(settings),
        api_port=settings.api.port,
        client_address=source.address,
        private_address=source.address,
        algorithm=settings.tokens.algorithm,
        chat21_key=chat21_key(settings.tokens),
    )


def broker_ports(settings: Settings) -> BrokerPorts:
    """The ports that the settings name, and for the others the usual ones, or free ones where those are taken."""
    usual = BrokerPorts()
    chosen = BrokerPorts(
        amqps=settings.broker.port,
        mqtt=urlsplit(settings.public.mqtt_url).port or usual.mqtt,
        websocket=urlsplit(settings.public.websocket_url).port or usual.websocket,
    )
    taken = [name for name in SIDE_PORTS if is_taken(getattr(usual, name))]
    return replace(chosen, **dict(zip(taken, free_ports(len(taken)), strict=True)))


def check_api_port(settings: Settings) -> None:
    """Raise ConfigError if somebody else has the API's port."""
    if is_taken(settings.api.port, address=settings.api.host):
        raise ConfigError(
            f"port {settings.api.port} (HTTP API) is taken by another program. Stop that program, or choose another "
            "port: OBSERVER_API__PORT=8081 make run"
        )


def welcome(settings: Settings, options: SetUpOptions, places: Places) -> Iterator[str]:
    """What a newcomer needs to know, once everything serves."""
    command = command_line(options, places)
    yield ""
    yield "Ready."
    yield f"  MQTT        {settings.public.mqtt_url}"
    yield f"  WebSocket   {settings.public.websocket_url}"
    yield f"  HTTP API    {settings.public.api_url}   (its description: {settings.public.api_url}/docs)"
    yield f"  RabbitMQ    http://127.0.0.1:{options.ports.prometheus}/metrics"
    yield ""
    yield f"A token for alice:      {command} token issue --app {options.app} --user alice"
    yield f"A key for your server:  {places.api_key}"
    yield ""
    yield "Chat, in two other terminals:"
    yield f"  {command} chat --user alice --to bob"
    yield f"  {command} chat --user bob --to alice"
    yield ""
    yield "Ctrl-C stops everything that was started here."


def command_line(options: SetUpOptions, places: Places) -> str:
    """`observer` as one calls it in another terminal; with the settings file where the defaults do not hold."""
    usual = BrokerPorts()
    is_usual = (
        (options.ports.amqps, options.ports.mqtt, options.ports.websocket) == (usual.amqps, usual.mqtt, usual.websocket)
        and options.api_port == USUAL_API_PORT
        and options.directory == DEFAULT_DIRECTORY
    )
    return ".venv/bin/observer" if is_usual else f".venv/bin/observer --config {shlex.quote(str(places.settings))}"
