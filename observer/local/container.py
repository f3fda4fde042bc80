"""RabbitMQ in a container, where a Docker engine answers and no RabbitMQ is installed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import astuple

from observer.local.node import Launch, NodePlan, node_environment
from observer.local.programs import supported_version
from observer.setup.broker_files import BrokerPorts

IMAGE = "rabbitmq:4-management"
ENGINE_TIMEOUT_S = 10.0
# Debian's packages wrap RabbitMQ's programs in a script that insists on one user; behind it are the programs.
PROGRAM_PATH = "/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def has_engine() -> bool:
    """Whether a Docker engine answers us."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(
            ["docker", "version"],  # noqa: S607 - the operator's own Docker, wherever PATH says
            capture_output=True,
            check=False,
            timeout=ENGINE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def has_image() -> bool:
    """Fetch the image if it is not there; return whether it is there now."""
    if _docker("image", "inspect", IMAGE).returncode == 0:
        return True
    return _docker("pull", "--quiet", IMAGE).returncode == 0


def image_version() -> tuple[int, int]:
    """The version in the image that is here, which may be an old one. Raises ConfigError if it is not supported."""
    asked = _docker("run", "--rm", f"--env=PATH={PROGRAM_PATH}", "--entrypoint=rabbitmqctl", IMAGE, "version")
    told = asked.stdout.decode(errors="replace")
    return supported_version(told, place=f"the image {IMAGE}", remedy=f"upgrade it with `docker pull {IMAGE}`")


def launch_container(plan: NodePlan, ports: BrokerPorts) -> Launch:
    """How to run a node in a container that publishes `ports` on loopback; inside, they listen on every address."""
    name = f"observer-broker-{ports.amqps}"
    owner = f"{os.getuid()}:{os.getgid()}"
    environment = {"PATH": PROGRAM_PATH} | node_environment(plan)
    variables = [f"--env={key}={value}" for key, value in environment.items()]
    published = [f"--publish=127.0.0.1:{port}:{port}" for port in astuple(ports)]
    mounts = [f"--volume={plan.config}:{plan.config}:ro", f"--volume={plan.state}:{plan.state}"]
    options = ["--rm", f"--name={name}", f"--user={owner}", "--entrypoint=rabbitmq-server"]
    return Launch(
        server=["docker", "run", *options, *variables, *published, *mounts, IMAGE],
        ctl=["docker", "exec", *variables, name, "rabbitmqctl"],
        environment=dict(os.environ),
        kill=["docker", "kill", name],
    )


def _docker(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own arguments
