"""The local broker of `observer run --local`: found or installed, started, waited for, stopped."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields

from observer.errors import ConfigError
from observer.local.container import IMAGE, has_engine, has_image, image_version, launch_container
from observer.local.epmd import stop_epmd
from observer.local.install import can_install, install_rabbitmq
from observer.local.node import STOP_TIMEOUT_S, Launch, Node, NodePlan, start_time
from observer.local.ports import is_taken
from observer.local.programs import BIN_VARIABLE, Programs, find_programs, launch_programs
from observer.setup.broker_files import LOOPBACK, BrokerPorts

START_TIMEOUT_S = 180.0
POLL_S = 0.1
PROGRESS_EVERY_S = 5.0

Say = Callable[[str], None]
"""Told each step in a sentence, for a human."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where RabbitMQ comes from: this machine's programs, or a container image if there are none."""

    version: tuple[int, int]
    programs: Programs | None = None

    @property
    def address(self) -> str:
        """What the listeners bind to; a container publishes them on loopback only."""
        return LOOPBACK if self.programs else "0.0.0.0"  # noqa: S104 - inside the container

    def launch(self, plan: NodePlan, ports: BrokerPorts) -> Launch:
        """How to run a node from here."""
        return launch_programs(self.programs, plan) if self.programs else launch_container(plan, ports)


def find_source(environment: Mapping[str, str], say: Say) -> Source:
    """RabbitMQ from this machine, from a Docker engine, or installed now. Raises ConfigError if there is no way."""
    programs = find_programs(environment)
    if programs is None and has_engine():
        say(f"No RabbitMQ is installed here; taking the image {IMAGE} from the Docker engine.")
        if has_image():
            return Source(image_version())
        say(f"The engine cannot get {IMAGE}.")
    if programs is None and can_install():
        install_rabbitmq(say)
        programs = find_programs(environment)
    if programs is None:
        raise ConfigError(
            "there is no RabbitMQ here. Install it (Debian, Ubuntu: apt-get install rabbitmq-server), or start a "
            f"Docker engine that you may use, or name the folder of its programs in {BIN_VARIABLE}"
        )
    return Source(programs.version, programs)


@asynccontextmanager
async def local_broker(source: Source, plan: NodePlan, ports: BrokerPorts, *, say: Say) -> AsyncIterator[Node]:
    """A node that serves, on the files in `plan.config`; it is stopped at the end.

    The caller has the folder to himself (`sole_use`): two nodes on one data folder would destroy it.
    Raises ConfigError where a port is taken, or the node does not come up.
    """
    await _stop_left_over(plan, say)
    check_ports(ports)
    node = Node(plan, source.launch(plan, ports))
    try:
        node.start()
        await _until_ready(node, source.version, say)
        yield node
    finally:
        say("Stopping RabbitMQ.")
        await asyncio.shield(asyncio.to_thread(node.stop))


def check_ports(ports: BrokerPorts) -> None:
    """Raise ConfigError, naming it and what changes it, for a port that somebody else has."""
    for field in fields(ports):
        port = getattr(ports, field.name)
        if is_taken(port):
            raise ConfigError(
                f"port {port} ({field.name}) is taken by another program. Stop that program, or choose another port: "
                f"{PORT_REMEDIES.get(field.name, OTHER_REMEDY)}"
            )


PORT_REMEDIES = {
    "amqps": "OBSERVER_BROKER__PORT=5673 make run",
    "mqtt": "OBSERVER_PUBLIC__MQTT_URL=mqtt://127.0.0.1:1884 make run",
    "websocket": "OBSERVER_PUBLIC__WEBSOCKET_URL=ws://127.0.0.1:15677/ws make run",
}
OTHER_REMEDY = "`observer run --local` picks a free one when you start it again"


async def _until_ready(node: Node, version: tuple[int, int], say: Say) -> None:
    say(f"Starting RabbitMQ {version[0]}.{version[1]} (about 15 seconds).")
    loop = asyncio.get_running_loop()
    started_s = told_s = loop.time()
    while not node.is_ready():
        now_s = loop.time()
        if now_s - started_s > START_TIMEOUT_S:
            raise ConfigError(f"RabbitMQ was not ready after {START_TIMEOUT_S:.0f} s. {node.last_words()}")
        if now_s - told_s > PROGRESS_EVERY_S:
            told_s = now_s
            say(f"... still starting, {now_s - started_s:.0f} s.")
        await asyncio.sleep(POLL_S)


async def _stop_left_over(plan: NodePlan, say: Say) -> None:
    """End the node of an earlier run that was killed before it could do so."""
    left = _left_over(plan)
    if left is None:
        return
    pid, epmd_port = left
    say(f"Stopping the RabbitMQ that an earlier run left behind (process {pid}).")
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        for _ in range(int(STOP_TIMEOUT_S / POLL_S)):
            await asyncio.sleep(POLL_S)
            if start_time(pid) is None:
                break
        else:
            os.killpg(pid, signal.SIGKILL)
    plan.pid_file.unlink(missing_ok=True)
    stop_epmd(epmd_port)


def _left_over(plan: NodePlan) -> tuple[int, int] | None:
    """Process and epmd port of a node that still runs on this folder; the time of its start proves that it is ours."""
    try:
        pid, epmd_port, started = (int(word) for word in plan.pid_file.read_text().split())
    except (OSError, ValueError):
        return None
    return (pid, epmd_port) if start_time(pid) == started else None
