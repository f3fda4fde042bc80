"""A private RabbitMQ with our full set-up, on free loopback ports.

In this order: the programs in the folder that `OBSERVER_TEST_RABBITMQ_BIN` names; a container where a Docker engine
answers; the RabbitMQ that is installed on this machine, or that is installed now, as root on Debian or Ubuntu.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from observer.broker.connect import BrokerOptions
from observer.local.install import can_install, install_rabbitmq
from observer.local.node import Node, NodePlan
from observer.local.ports import free_ports
from observer.local.programs import Programs, find_programs, launch_programs
from observer.setup.broker_files import LOOPBACK, BrokerPlan, BrokerPorts, write_broker_files
from observer.setup.certificates import ensure_certificates
from observer.setup.signing_keys import SharedKey, ensure_signing_keys
from tests.services import rabbitmq_container
from tests.services.containers import containers_wanted
from tests.services.missing import missing
from tests.services.rabbitmq_container import contained_node

BIN_VARIABLE = "OBSERVER_TEST_RABBITMQ_BIN"
"""A folder with rabbitmq-server and rabbitmqctl."""
START_TIMEOUT_S = 90.0
POLL_S = 0.05
SHARDS = 4


class BrokerNode(Protocol):
    """What tests do with a node; `observer.local.node.Node` is one."""

    def start(self) -> None:
        """Start it and return at once; `is_ready` tells when it serves."""
        ...

    def is_ready(self) -> bool:
        """Whether definitions are loaded and every listener is open."""
        ...

    def last_words(self) -> str:
        """The end of its log."""
        ...

    def stop(self) -> None:
        """Stop it in order."""
        ...

    def kill(self) -> None:
        """Kill it with -9."""
        ...

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against it and return what it prints."""
        ...


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker that tests may talk to, stop, kill and start again."""

    ports: BrokerPorts
    directory: Path
    """Holds ca.pem, observer.pem and observer.key."""
    keys_dir: Path
    """Holds the keys that sign tokens: current.pem and next.pem."""
    signing_key: Path
    """The private key (PEM) that signs tokens now."""
    key_id: str
    """Its `kid`."""
    version: tuple[int, int]
    shards: int
    node: BrokerNode = field(repr=False)
    shared_key: SharedKey | None = None

    @property
    def amqps_port(self) -> int:
        """AMQP over TLS, client certificate required."""
        return self.ports.amqps

    @property
    def mqtt_port(self) -> int:
        """Plain MQTT."""
        return self.ports.mqtt

    @property
    def mqtts_port(self) -> int:
        """MQTT over TLS."""
        return self.ports.mqtts

    @property
    def websocket_port(self) -> int:
        """MQTT over WebSocket, path /ws."""
        return self.ports.websocket

    @property
    def websockets_port(self) -> int:
        """MQTT over WebSocket over TLS, path /ws."""
        return self.ports.websockets

    @property
    def management_port(self) -> int:
        """The management HTTP API."""
        return self.ports.management

    @property
    def options(self) -> BrokerOptions:
        """How the observer reaches it."""
        ca, certificate, key = (self.directory / name for name in ("ca.pem", "observer.pem", "observer.key"))
        return BrokerOptions("127.0.0.1", self.amqps_port, "", "/", ca, certificate, key, heartbeat_s=5)

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run rabbitmqctl (two seconds) and return what it prints."""
        return self.node.ctl(*arguments)

    def start(self) -> None:
        """Start a stopped or killed broker and wait until it serves."""
        self.node.start()
        wait_until_ready(self.node)

    def stop(self) -> None:
        """Stop it in order."""
        self.node.stop()

    def kill(self) -> None:
        """Kill it with -9."""
        self.node.kill()

    def restart(self) -> None:
        """Stop in order, start, wait until it serves."""
        self.stop()
        self.start()


@pytest.fixture(scope="session")
def shared_broker() -> Iterator[RunningBroker]:
    """A real RabbitMQ with our full set-up, shared by the whole run: a test leaves it up (see `broker`)."""
    with running_broker() as running:
        yield running


@contextmanager
def running_broker(*, shards: int = SHARDS, shared_key: SharedKey | None = None) -> Iterator[RunningBroker]:
    """A fresh broker in a folder of its own; both are gone afterwards."""
    programs = local_programs()
    with tempfile.TemporaryDirectory(prefix="observer-broker-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        root.chmod(0o711)  # the broker may run as another user
        keys = ensure_signing_keys(root / "keys")
        ensure_certificates(root / "certificates", server_names=("localhost", LOOPBACK))
        address = LOOPBACK if programs else rabbitmq_container.EVERY_ADDRESS
        plan = BrokerPlan(
            version=programs.version if programs else rabbitmq_container.SERIES,
            keys=(*([shared_key] if shared_key else []), *keys),
            shards=shards,
            ports=BrokerPorts(*free_ports(7)),
            client_address=address,
            private_address=address,
            seen_as=None if programs else rabbitmq_container.CONFIG,
        )
        write_broker_files(root / "rabbitmq", plan, certificates=root / "certificates")
        with local_node(programs, root) if programs else contained_node(root / "rabbitmq", plan.ports) as node:
            node.start()
            wait_until_ready(node)
            yield RunningBroker(
                ports=plan.ports,
                directory=root / "certificates",
                keys_dir=root / "keys",
                signing_key=root / "keys" / "current.pem",
                key_id=keys[0].key_id,
                version=programs.version if programs else rabbitmq_container.version_of(node.ctl("version")),
                shards=shards,
                node=node,
                shared_key=shared_key,
            )


def local_programs() -> Programs | None:
    """The RabbitMQ of this machine, or None if it is to be a container; ends the test where there is neither."""
    if BIN_VARIABLE not in os.environ and containers_wanted():
        return None
    programs = find_programs(os.environ, variable=BIN_VARIABLE)
    if programs is None and can_install():  # as `make run` does on such a machine
        install_rabbitmq(print)
        programs = find_programs(os.environ, variable=BIN_VARIABLE)
    if programs is None:
        missing("rabbitmq", f"no RabbitMQ: install rabbitmq-server, or name the folder of another in {BIN_VARIABLE}")
    return programs


@contextmanager
def local_node(programs: Programs, root: Path) -> Iterator[BrokerNode]:
    """A node of child processes, not yet started, with the configuration in `root`/rabbitmq."""
    plan = NodePlan(root / "rabbitmq", root / "state", *free_ports(2))
    node = Node(plan, launch_programs(programs, plan))
    try:
        yield node
    finally:
        node.kill()


def wait_until_ready(node: BrokerNode) -> None:
    """Return once the node serves; fail with the end of its log if it does not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not node.is_ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"RabbitMQ was not ready within {START_TIMEOUT_S} s. {node.last_words()}")
        time.sleep(POLL_S)
