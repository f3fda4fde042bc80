"""The project's own compose.yaml, brought up on free ports, in volumes of its own, and taken away afterwards."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from observer.local.ports import free_ports
from observer.tokens.base import IssuedToken
from tests.services.containers import containers_wanted
from tests.services.missing import missing
from tests.services.people import Person

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 300
COMMAND_TIMEOUT_S = 600
LONG_RUNNING = ("rabbitmq", "mongo", "observer")


@dataclass(frozen=True, slots=True)
class Stack:
    """One Compose project."""

    name: str = field(default_factory=lambda: f"observer-test-{uuid.uuid4().hex[:8]}")
    ports: tuple[int, ...] = field(default_factory=lambda: tuple(free_ports(3)))

    @property
    def mqtt_port(self) -> int:
        """Published MQTT."""
        return self.ports[0]

    @property
    def websocket_port(self) -> int:
        """Published MQTT over WebSocket."""
        return self.ports[1]

    @property
    def api_url(self) -> str:
        """Published HTTP API."""
        return f"http://127.0.0.1:{self.ports[2]}"

    def compose(self, *arguments: str, said: str = "") -> str:
        """Run `docker compose` on this project, with `said` as its input, and return what it prints.

        Fails the test with the command's error output.
        """
        names = ("MQTT_PORT", "WEBSOCKET_PORT", "API_PORT")
        ports = dict(zip(names, map(str, self.ports), strict=True))
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.name, *arguments],
            cwd=ROOT,
            env=dict(os.environ) | ports,
            input=said,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"docker compose {' '.join(arguments)}: {done.stderr[-4000:]}", pytrace=False)
        return done.stdout

    def up(self) -> None:
        """Bring everything up; fails the test, with the logs, unless all of it becomes healthy."""
        try:
            self.compose("up", "--wait", "--wait-timeout", str(START_TIMEOUT_S))
        except pytest.fail.Exception as failure:
            pytest.fail(f"{failure}\n{self.compose('logs', '--tail', '30')}", pytrace=False)

    def down(self) -> None:
        """Take away containers, networks and volumes."""
        self.compose("down", "--volumes", "--timeout", "5")

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of the container of `service`, running or not."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        asked = subprocess.run(["docker", "inspect", container], capture_output=True, check=True)
        described: dict[str, Any] = json.loads(asked.stdout)[0]
        return described

    def issue(self, user: str) -> IssuedToken:
        """A token as an operator gets one."""
        told = json.loads(
            self.compose("exec", "-T", "observer", *f"observer token issue --app demo --user {user} --json".split())
        )
        names = ("token", "app", "user", "client_id", "username", "subscribe", "publish", "expires_at")
        return IssuedToken(**{name: told[name] for name in names}, scopes=())

    def person(self, user: str) -> Person:
        """A client of the published MQTT port, not yet connected."""
        return Person(self.issue(user), self.mqtt_port)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole product under Compose, healthy; a test leaves it so."""
    if not containers_wanted() or shutil.which("docker") is None:
        missing("docker", "no Docker engine answers, or OBSERVER_TEST_SERVICES=local leaves it out")
    stack = Stack()
    stack.compose("build")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
