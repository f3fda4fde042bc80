"""`observer run --local`: what it starts it stops, and what keeps it from starting it says."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from observer.errors import BrokerUnavailable, ConfigError
from observer.local.ports import free_ports, is_taken
from observer.local.programs import BIN_VARIABLE, find_programs
from observer.local.run import run_local
from observer.settings import Settings
from tests.services.missing import missing
from tests.services.rabbitmq import BIN_VARIABLE as TEST_BIN_VARIABLE
from tests.services.rabbitmq import local_programs

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]


@pytest.fixture
def environment() -> Mapping[str, str]:
    """Free ports for everything that a setting names, and the RabbitMQ that the tests are to use."""
    if (find_programs(os.environ, variable=TEST_BIN_VARIABLE) or local_programs()) is None:
        missing("rabbitmq", "no RabbitMQ is installed here, only a Docker engine")
    amqps, mqtt, websocket, api = free_ports(4)
    named = {BIN_VARIABLE: os.environ[TEST_BIN_VARIABLE]} if TEST_BIN_VARIABLE in os.environ else {}
    return named | {
        "PATH": os.environ["PATH"],
        "OBSERVER_BROKER__PORT": str(amqps),
        "OBSERVER_PUBLIC__MQTT_URL": f"mqtt://127.0.0.1:{mqtt}",
        "OBSERVER_PUBLIC__WEBSOCKET_URL": f"ws://127.0.0.1:{websocket}/ws",
        "OBSERVER_API__PORT": str(api),
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own folder: the broker may run as another user, who cannot go through that one."""
    with TemporaryDirectory(prefix="observer-local-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


async def test_it_serves_says_how_to_connect_and_leaves_nothing_behind(
    environment: Mapping[str, str], folder: Path
) -> None:
    """One call does the set-up, starts the broker, runs the observer and stops what it started."""
    said: list[str] = []
    seen: list[bool] = []
    port = int(environment["OBSERVER_BROKER__PORT"])

    async def observe(settings: Settings, on_ready: Callable[[], None]) -> None:
        seen.extend((is_taken(port), settings.broker.ca_file.exists()))
        on_ready()

    await run_local(environment, observe, directory=folder / "var", say=said.append)

    told = "\n".join(said)
    assert seen == [True, True]
    assert not is_taken(port)
    assert environment["OBSERVER_PUBLIC__MQTT_URL"] in told
    assert f"--config {folder / 'var' / 'observer.toml'} chat --user alice --to bob" in told
    assert not (folder / "var" / "rabbitmq-state" / "pid").exists()


async def test_a_broker_that_dies_stops_the_observer(environment: Mapping[str, str], folder: Path) -> None:
    """Rather than leaving it to wait for a broker that nobody starts again."""
    ended = asyncio.Event()

    async def observe(_settings: Settings, _on_ready: Callable[[], None]) -> None:
        os.killpg(node_ids(folder)[0], signal.SIGKILL)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(BrokerUnavailable, match="ended by itself"):
        await run_local(environment, observe, directory=folder / "var", say=lambda _: None)

    assert ended.is_set()


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("OBSERVER_BROKER__PORT", r"amqps.*OBSERVER_BROKER__PORT="),
        ("OBSERVER_API__PORT", r"HTTP API.*OBSERVER_API__PORT="),
    ],
)
async def test_a_taken_port_is_told_with_what_changes_it(
    environment: Mapping[str, str], folder: Path, variable: str, told: str
) -> None:
    """Before anything is started."""
    number = environment[variable]
    with (
        socket.create_server(("127.0.0.1", int(number))),
        pytest.raises(ConfigError, match=rf"port {number} .*{told}"),
    ):
        await run_local(environment, never, directory=folder / "var", say=lambda _: None)


async def test_a_broker_that_does_not_come_up_shows_the_end_of_its_log(
    environment: Mapping[str, str], folder: Path
) -> None:
    """With the path of the rest."""
    broken = dict(environment) | {BIN_VARIABLE: str(a_rabbitmq_that_fails(folder))}

    with pytest.raises(ConfigError, match=r"(?s)did not come up.*rabbitmq\.log.*no space left on device"):
        await run_local(broken, never, directory=folder / "var", say=lambda _: None)


async def test_a_second_run_on_the_same_folder_is_refused(environment: Mapping[str, str], folder: Path) -> None:
    """Two brokers on one data folder would destroy it; with the same ports it is no riddle about ports either."""

    async def observe(_settings: Settings, _on_ready: Callable[[], None]) -> None:
        for other in (environment, dict(environment) | {"OBSERVER_API__PORT": str(free_ports(1)[0])}):
            with pytest.raises(ConfigError, match=rf"already \(process {os.getpid()}: MQTT mqtt://127.0.0.1:\d+, HTTP"):
                await run_local(other, never, directory=folder / "var", say=lambda _: None)

    await run_local(environment, observe, directory=folder / "var", say=lambda _: None)


async def test_a_run_that_was_killed_is_cleaned_up_by_the_next(environment: Mapping[str, str], folder: Path) -> None:
    """Nobody else stops a broker whose parent is gone, and its ports would stay taken."""
    said: list[str] = []
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN_FOR_EVER, str(folder / "var"), env=dict(environment), stdout=subprocess.PIPE
    )
    assert killed.stdout is not None
    async for line in killed.stdout:
        if line == b"Ready.\n":
            break
    killed.kill()
    await killed.wait()
    _, epmd_port = node_ids(folder)

    async def observe(_settings: Settings, _on_ready: Callable[[], None]) -> None:
        said.append("served")

    await run_local(environment, observe, directory=folder / "var", say=said.append)

    assert "left behind" in "\n".join(said)
    assert "served" in said
    assert not is_taken(int(environment["OBSERVER_BROKER__PORT"]))
    assert not is_taken(epmd_port)


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody else's process."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


async def test_a_process_that_has_the_id_of_an_earlier_broker_by_chance_is_left_alone(
    environment: Mapping[str, str], folder: Path, bystander: subprocess.Popen[bytes]
) -> None:
    """Ids are used again, after a start of the machine above all."""
    broken = dict(environment) | {BIN_VARIABLE: str(a_rabbitmq_that_fails(folder))}
    state = folder / "var" / "rabbitmq-state"
    state.mkdir(parents=True)
    (state / "pid").write_text(f"{bystander.pid} 1 1\n")

    with pytest.raises(ConfigError, match="did not come up"):
        await run_local(broken, never, directory=folder / "var", say=lambda _: None)

    assert bystander.poll() is None


def test_a_closed_terminal_stops_it_too(environment: Mapping[str, str], folder: Path) -> None:
    """Although what it says while it stops can no longer be written."""
    with running_locally(environment, folder) as run:
        assert run.stdout is not None
        run.stdout.close()
        _, epmd_port = node_ids(folder)
        run.send_signal(signal.SIGHUP)
        run.wait()

    assert not (folder / "var" / "rabbitmq-state" / "pid").exists()
    assert not is_taken(int(environment["OBSERVER_BROKER__PORT"]))
    assert not is_taken(epmd_port)


@contextmanager
def running_locally(environment: Mapping[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`observer run --local` that is ready, as a terminal starts it: SIGHUP is not ignored, as it is below `nohup`."""
    run = subprocess.Popen(
        [sys.executable, "-m", "observer", "run", "--local"],
        env=dict(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    assert run.stdout is not None
    try:
        said = []
        for line in run.stdout:
            said.append(line)
            if line == b"Ready.\n":
                break
        else:
            pytest.fail(b"".join(said).decode())
        yield run
    finally:
        run.terminate()
        run.wait()


def node_ids(folder: Path) -> tuple[int, int]:
    """Process and epmd port of the node that runs now."""
    pid, epmd_port, _ = (folder / "var" / "rabbitmq-state" / "pid").read_text().split()
    return int(pid), int(epmd_port)


RUN_FOR_EVER = """
import asyncio, os, pathlib, sys
from observer.local.run import run_local

async def observe(settings, on_ready):
    on_ready()
    await asyncio.Event().wait()

def say(text):
    print(text, flush=True)

asyncio.run(run_local(os.environ, observe, directory=pathlib.Path(sys.argv[1]), say=say))
"""


async def never(_settings: Settings, _on_ready: Callable[[], None]) -> None:
    """The observer, where it must not be reached."""
    raise AssertionError("the observer was started")


def a_rabbitmq_that_fails(folder: Path) -> Path:
    """Programs that end at once, with a word on why."""
    programs = folder / "rabbitmq_server-4.3.6" / "sbin"
    programs.mkdir(parents=True)
    for name in ("rabbitmq-server", "rabbitmqctl"):
        (programs / name).write_text("#!/bin/sh\necho no space left on device\nexit 1\n")
        (programs / name).chmod(0o755)
    return programs
