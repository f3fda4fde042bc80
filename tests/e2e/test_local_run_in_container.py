"""`observer run --local` on a machine that has a Docker engine and no RabbitMQ of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from observer.local.container import IMAGE, has_image
from observer.local.ports import free_ports, is_taken
from tests.services.containers import containers_wanted
from tests.services.missing import missing

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
STOP_TIMEOUT_S = 60

COMMAND = """
from observer.cli import main
from observer.local import programs

programs.USUAL_FOLDERS = ()
main()
"""
"""`observer`, as where no package has put a RabbitMQ into the folder where packages put it."""


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Free ports for everything that a setting names, and of all programs the client of the Docker engine only."""
    docker = shutil.which("docker")
    if not containers_wanted() or docker is None:
        missing("docker", "no Docker engine answers, or OBSERVER_TEST_SERVICES=local leaves it out")
    if not has_image():
        missing("docker", f"the Docker engine cannot get {IMAGE}")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").symlink_to(docker)
    amqps, mqtt, websocket, api = free_ports(4)
    of_docker = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_") or name == "HOME"}
    return of_docker | {
        "PATH": str(programs),
        "PYTHONUNBUFFERED": "1",
        "OBSERVER_BROKER__PORT": str(amqps),
        "OBSERVER_PUBLIC__MQTT_URL": f"mqtt://127.0.0.1:{mqtt}",
        "OBSERVER_PUBLIC__WEBSOCKET_URL": f"ws://127.0.0.1:{websocket}/ws",
        "OBSERVER_API__PORT": str(api),
    }


@contextmanager
def local_run(environment: Mapping[str, str], folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """The command while it runs in `folder`."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", "--local"],
        env=dict(environment),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                run.send_signal(signal.SIGINT)
                run.communicate(timeout=STOP_TIMEOUT_S)


def read_until_ready(run: "subprocess.Popen[str]") -> str:
    """What it says until then."""
    assert run.stdout is not None
    said = ""
    for line in run.stdout:
        if line == "Ready.\n":
            return said
        said += line
    pytest.fail(f"it ended with {run.wait()}: {said}")


def chat(environment: Mapping[str, str], folder: Path, user: str, peer: str, said: str = "") -> str:
    """What `observer chat` shows to a user who says this and leaves."""
    settings = folder / "var" / "observer.toml"
    return subprocess.run(
        [sys.executable, "-m", "observer", "--config", settings, "chat", "--user", user, "--to", peer],
        env=dict(environment),
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout


def containers(name: str) -> list[str]:
    """The containers called so, running or not."""
    command = ["docker", "ps", "--all", "--filter", f"name={name}", "--format", "{{.Image}}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_it_serves_from_a_container_that_is_gone_afterwards(environment: Mapping[str, str], tmp_path: Path) -> None:
    """It says where RabbitMQ comes from, carries a message, and Ctrl-C stops and removes what it started."""
    container = f"observer-broker-{environment['OBSERVER_BROKER__PORT']}"
    with local_run(environment, tmp_path) as run:
        assert f"taking the image {IMAGE}" in read_until_ready(run)
        assert containers(container) == [IMAGE]
        assert "alice: hello ✓" in chat(environment, tmp_path, "alice", "bob", said="hello\n")
        assert "alice: hello" in chat(environment, tmp_path, "bob", "alice")
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=STOP_TIMEOUT_S)

    assert run.returncode == 0, said
    assert "Stopping RabbitMQ." in said
    assert containers(container) == []
    assert not is_taken(int(environment["OBSERVER_BROKER__PORT"]))
