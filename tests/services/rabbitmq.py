"""A private RabbitMQ with our full set-up, as local processes on free loopback ports."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from observer.local.node import Node, NodePlan
from observer.local.ports import free_ports
from observer.local.programs import Programs, find_programs
from observer.setup.broker_files import BrokerPlan, BrokerPorts, write_broker_files
from observer.setup.certificates import ensure_certificates
from observer.setup.signing_keys import SharedKey, ensure_signing_keys
from tests.services.missing import missing

BIN_VARIABLE = "OBSERVER_TEST_RABBITMQ_BIN"
"""A folder with rabbitmq-server and rabbitmqctl; without it, the RabbitMQ that is installed on this machine."""
START_TIMEOUT_S = 90.0
POLL_S = 0.05
SHARDS = 4


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
    node: Node = field(repr=False)
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
    def prometheus_port(self) -> int:
        """The broker's metrics."""
        return self.ports.prometheus

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
def broker() -> Iterator[RunningBroker]:
    """A real RabbitMQ with our full set-up, shared by the whole run: a test leaves it up, and its queues empty."""
    programs = find_programs(os.environ, variable=BIN_VARIABLE)
    if programs is None:
        missing("rabbitmq", f"no RabbitMQ: install rabbitmq-server, or name the folder of another in {BIN_VARIABLE}")
    with running_broker(programs) as running:
        yield running


@contextmanager
def running_broker(
    programs: Programs, *, shards: int = SHARDS, shared_key: SharedKey | None = None
) -> Iterator[RunningBroker]:
    """A fresh broker in a folder of its own; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="observer-broker-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        root.chmod(0o711)  # the broker may run as another user
        *ports, distribution_port, epmd_port = free_ports(9)
        keys = ensure_signing_keys(root / "keys")
        ensure_certificates(root / "certificates", server_names=("localhost", "127.0.0.1"))
        plan = BrokerPlan(
            version=programs.version,
            keys=(*([shared_key] if shared_key else []), *keys),
            shards=shards,
            ports=BrokerPorts(*ports),
        )
        write_broker_files(root / "rabbitmq", plan, certificates=root / "certificates")
        node = Node(programs, NodePlan(root / "rabbitmq", root / "state", distribution_port, epmd_port))
        broker = RunningBroker(
            ports=plan.ports,
            directory=root / "certificates",
            keys_dir=root / "keys",
            signing_key=root / "keys" / "current.pem",
            key_id=keys[0].key_id,
            version=programs.version,
            shards=shards,
            node=node,
            shared_key=shared_key,
        )
        try:
            broker.start()
            yield broker
        finally:
            node.kill()


def wait_until_ready(node: Node) -> None:
    """Return once the node serves; fail with the end of its log if it does not."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not node.is_ready():
        if time.monotonic() > deadline:
            raise AssertionError(f"RabbitMQ was not ready within {START_TIMEOUT_S} s. {node.last_words()}")
        time.sleep(POLL_S)
