"""Installing RabbitMQ from the distribution, as root on Debian and Ubuntu, without starting a service."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from observer.errors import ConfigError

POLICY = Path("/usr/sbin/policy-rc.d")
SERVICE = "rabbitmq-server.service"
INSTALL = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "rabbitmq-server")


def can_install() -> bool:
    """Whether we may install packages here."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_rabbitmq(say: Callable[[str], None]) -> None:
    """Install the distribution's RabbitMQ; its service starts neither now nor with the machine.

    Raises ConfigError if it cannot be installed.
    """
    say("Installing RabbitMQ from the distribution (apt-get; a minute or two, once).")
    with no_service_starts(POLICY):
        _apt("apt-get", "update", "--quiet")
        _apt(*INSTALL)
    if shutil.which("systemctl") is not None:  # the package has switched it on for the next start
        _run("systemctl", "disable", "--quiet", SERVICE)


@contextmanager
def no_service_starts(policy: Path) -> Iterator[None]:
    """While this lasts, packages do not start services: Debian's package tools ask the program `policy`."""
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _apt(*command: str) -> None:
    done = _run(*command)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise ConfigError(f"`{' '.join(command)}` failed:\n" + "\n".join(last))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(  # noqa: S603 - our own arguments
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
