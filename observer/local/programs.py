"""Finding RabbitMQ's programs on this machine."""

import os
import pwd
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from observer.errors import ConfigError
from observer.local.epmd import epmd_environment, stop_epmd
from observer.local.node import Launch, NodePlan, node_environment
from observer.local.ports import free_ports
from observer.setup.broker_files import SUPPORTED, is_supported

BIN_VARIABLE = "OBSERVER_RABBITMQ_BIN"
# The programs themselves before the distribution's wrappers in /usr/sbin, which run only as root or rabbitmq.
USUAL_FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")
ASK_TIMEOUT_S = 60.0
SYSTEM_USER = "rabbitmq"
_VERSION = re.compile(r"(\d+)\.(\d+)\.\d+")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with rabbitmq-server and rabbitmqctl, and whose they are."""

    folder: Path
    version: tuple[int, int]
    is_distribution: bool = True
    """Installed by the distribution, with a system user `rabbitmq` to run as."""


def find_programs(environment: Mapping[str, str], *, variable: str = BIN_VARIABLE) -> Programs | None:
    """The RabbitMQ to use, or None if there is none. Raises ConfigError for a folder or a version that cannot work."""
    if named := environment.get(variable):
        folder = Path(named)
        if not has_server(folder):
            raise ConfigError(f"{variable} is {named}, but there is no rabbitmq-server in that folder")
        return Programs(folder, read_version(folder), is_distribution=False)
    folders = [Path(name) for name in (*USUAL_FOLDERS, *environment.get("PATH", os.defpath).split(os.pathsep))]
    folder_found = next((folder for folder in folders if has_server(folder)), None)
    return None if folder_found is None else Programs(folder_found, read_version(folder_found))


def launch_programs(programs: Programs, plan: NodePlan) -> Launch:
    """How to run these programs for a node."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return Launch(
        server=[str(programs.folder / "rabbitmq-server")],
        ctl=[str(programs.folder / "rabbitmqctl")],
        environment={"PATH": path} | node_environment(plan),
        user=run_as(programs, plan),
    )


def run_as(programs: Programs, plan: NodePlan) -> str | None:
    """The system user to run as when we are root, if there is one that reaches the folder; else None: as ourselves."""
    if os.geteuid() != 0 or not programs.is_distribution:
        return None
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    parents = (*plan.state.resolve().parents, *plan.config.resolve().parents)
    is_reachable = all(parent.stat().st_mode & 0o001 for parent in parents if parent.exists())
    return SYSTEM_USER if is_reachable else None


def has_server(folder: Path) -> bool:
    """Whether rabbitmq-server can be run from `folder`."""
    return os.access(folder / "rabbitmq-server", os.X_OK)


def read_version(folder: Path) -> tuple[int, int]:
    """Major and minor version of the RabbitMQ in `folder`. Raises ConfigError for one that is not supported."""
    # The path usually tells; asking the program takes more than a second.
    told = (folder / "rabbitmq-server").resolve().parent.parent.name
    return supported_version(told if _VERSION.search(told) else _ask_version(folder), place=str(folder))


def supported_version(told: str, *, place: str, remedy: str = "upgrade it") -> tuple[int, int]:
    """The version that the RabbitMQ in `place` told. Raises ConfigError for none, or one that is not supported."""
    found = _VERSION.search(told)
    if found is None:
        raise ConfigError(f"the RabbitMQ in {place} does not tell its version")
    version = (int(found[1]), int(found[2]))
    if not is_supported(version):
        raise ConfigError(
            f"the RabbitMQ in {place} is {found[0]}, which does not start with our configuration: "
            f"{remedy}, to {SUPPORTED}"
        )
    return version


def _ask_version(folder: Path) -> str:
    [port] = free_ports(1)
    with TemporaryDirectory() as home:  # where Erlang would leave a cookie
        try:
            return subprocess.run(  # noqa: S603 - the operator's own RabbitMQ
                [folder / "rabbitmqctl", "version"],
                env=dict(os.environ) | epmd_environment(port) | {"HOME": home},
                capture_output=True,
                text=True,
                check=False,
                timeout=ASK_TIMEOUT_S,
            ).stdout
        finally:
            stop_epmd(port)
