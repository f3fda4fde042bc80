"""A RabbitMQ node in a container, with our own set-up mounted; to tests it is a node like a local one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker.errors import DockerException

from observer.local.node import READY_LINE
from observer.setup.broker_files import BrokerPorts
from tests.services.containers import RABBITMQ_IMAGE, container
from tests.services.missing import missing

CONFIG = "/srv/observer/rabbitmq"
"""Where the container sees the folder that `observer.setup.broker_files` wrote."""
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - inside the container; it is published on 127.0.0.1 only
SERIES = (4, 0)
"""What RABBITMQ_IMAGE is at least: enough to choose between the settings of RabbitMQ 3 and 4."""
STOP_TIMEOUT_S = 30
# Debian's packages wrap RabbitMQ's programs in a script that insists on one user; behind it are the programs.
PROGRAM = 'PATH=/usr/lib/rabbitmq/bin:$PATH; exec "$@"'


class ContainerNode:
    """Started, stopped and killed as `observer.local.node.Node` is; its data stays until `remove`."""

    def __init__(self, config: Path, ports: BrokerPorts) -> None:
        numbers = [getattr(ports, name) for name in BrokerPorts.__slots__]
        self._container = (
            container(RABBITMQ_IMAGE, {number: number for number in numbers})
            .with_volume_mapping(config, CONFIG)
            .with_envs(**_environment())
            .with_command(["sh", "-c", PROGRAM, "sh", "rabbitmq-server"])
            .with_kwargs(user=f"{os.getuid()}:{os.getgid()}")  # the owner of the files in `config`
        )
        self._starts = 0

    def start(self) -> None:
        """Start it and return at once; `is_ready` tells when it serves."""
        try:
            if self._starts:
                self._container.get_wrapped_container().start()
            else:
                self._container.start()
        except DockerException as error:
            missing("rabbitmq", f"the Docker engine could not start {RABBITMQ_IMAGE}: {error}")
        self._starts += 1

    def is_ready(self) -> bool:
        """Whether definitions are loaded and every listener is open. Fails the test if the container has ended."""
        inner = self._container.get_wrapped_container()
        inner.reload()
        if inner.status == "exited":
            pytest.fail(f"RabbitMQ did not come up. {self.last_words()}", pytrace=False)
        return bool(inner.logs().count(READY_LINE) >= self._starts)

    def last_words(self) -> str:
        """The end of its log."""
        text: str = self._container.get_wrapped_container().logs(tail=30).decode(errors="replace")
        return f"The last lines of its log:\n{text}"

    def stop(self) -> None:
        """Stop the node in order, or by force after 30 s."""
        self._container.get_wrapped_container().stop(timeout=STOP_TIMEOUT_S)

    def kill(self) -> None:
        """Kill -9, as a crash does it."""
        inner = self._container.get_wrapped_container()
        inner.reload()
        if inner.status == "running":
            inner.kill()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl in the container and return what it prints. Raises CalledProcessError."""
        command = ["rabbitmqctl", "--quiet", *arguments]
        result = self._container.exec(["sh", "-c", PROGRAM, "sh", *command])
        if result.exit_code:
            raise subprocess.CalledProcessError(result.exit_code or 0, command, result.output)
        return result.output.decode()

    def remove(self) -> None:
        """Kill it and delete its data."""
        self._container.stop()


@contextmanager
def contained_node(config: Path, ports: BrokerPorts) -> Iterator[ContainerNode]:
    """A node in a container, not yet started; the container is gone afterwards."""
    node = ContainerNode(config, ports)
    try:
        yield node
    finally:
        node.remove()


def version_of(told: str) -> tuple[int, int]:
    """Major and minor version, from what `rabbitmqctl version` tells."""
    major, minor, *_ = told.strip().split(".")
    return int(major), int(minor)


def _environment() -> dict[str, str]:
    return {
        "HOME": "/tmp",  # noqa: S108 - of the container, where any user may write
        "RABBITMQ_MNESIA_BASE": "/tmp/rabbitmq",  # noqa: S108
        "RABBITMQ_NODENAME": "observer@localhost",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": f"{CONFIG}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{CONFIG}/advanced.config",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{CONFIG}/enabled_plugins",
        "RABBITMQ_LOGS": "-",
    }
