"""One private RabbitMQ node as a child process: start, readiness, stop.

Everything of it is on loopback, its Erlang port mapper (epmd) too, which is the node's own and ends with it.
"""

import os
import pwd
import secrets
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from observer.errors import ConfigError
from observer.local.epmd import epmd_environment, stop_epmd

NODE_NAME = "observer@localhost"
READY_LINE = b"Server startup complete"
STOP_TIMEOUT_S = 30.0
LOG_TAIL_LINES = 15
NODE_FOLDERS = ("data", "log", "home")
"""What the node writes to, below `NodePlan.state`."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Where the node's files are and which ports its own machinery uses."""

    config: Path
    """The folder that `observer.setup.broker_files` wrote. Absolute, as is `state`."""
    state: Path
    """Data, log and home, which are the node's, and beside them what we note of it."""
    distribution_port: int
    epmd_port: int

    @property
    def log(self) -> Path:
        """The node's log."""
        return self.state / "log" / "rabbitmq.log"

    @property
    def output(self) -> Path:
        """What the node prints, which is little."""
        return self.state / "output.log"

    @property
    def pid_file(self) -> Path:
        """Holds what a running node is known by: its process, the port of its port mapper, its start (`start_time`)."""
        return self.state / "pid"


@dataclass(frozen=True, slots=True)
class Launch:
    """How the node's programs are run."""

    server: Sequence[str]
    ctl: Sequence[str]
    environment: Mapping[str, str]
    user: str | None = None
    """The system user to become; None: as ourselves."""
    kill: Sequence[str] = ()
    """Ends the server by force where killing our child is not enough."""


@dataclass(slots=True)
class Node:
    """A RabbitMQ node that this process starts and stops."""

    plan: NodePlan
    launch: Launch
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _log_start: int = field(default=0, init=False)

    def start(self) -> None:
        """Start the node and return at once; `is_ready` tells when it serves."""
        prepare_folders(self.plan)
        if self.launch.user is not None:
            hand_over(self.plan, self.launch.user)
        self._log_start = self.plan.log.stat().st_size if self.plan.log.exists() else 0
        with self.plan.output.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - the RabbitMQ that was found here
                self.launch.server,
                env=self.launch.environment,
                cwd=self.plan.state,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in our terminal is not the broker's; and its group can be killed
                user=self.launch.user,
                group=self.launch.user,
                extra_groups=None if self.launch.user is None else [],
            )
        pid = self._process.pid
        self.plan.pid_file.write_text(f"{pid} {self.plan.epmd_port} {start_time(pid) or 0}\n")

    def is_ready(self) -> bool:
        """Whether definitions are loaded and every listener is open. Raises ConfigError if the node has ended."""
        if self._process is None or self._process.poll() is not None:
            raise ConfigError(f"RabbitMQ did not come up. {self.last_words()}")
        if not self.plan.log.exists():
            return False
        with self.plan.log.open("rb") as log:
            log.seek(self._log_start)
            return READY_LINE in log.read()

    def has_ended(self) -> bool:
        """Whether the node is gone without having been stopped."""
        return self._process is not None and self._process.poll() is not None

    def last_words(self) -> str:
        """The end of the log, and where the rest is."""
        logs = [log for log in (self.plan.log, self.plan.output) if log.exists()]
        lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]]
        return "\n".join([f"Its log is {self.plan.log}; the last lines:", *lines])

    def stop(self) -> None:
        """Stop the node in order, or by force after 30 s."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()

    def kill(self) -> None:
        """Kill -9, as a crash does it."""
        if self._process is None:
            return
        if self.launch.kill:
            subprocess.run(self.launch.kill, capture_output=True, check=False)  # noqa: S603 - our own arguments
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._forget()

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against the node and return what it prints. Raises CalledProcessError."""
        return subprocess.run(  # noqa: S603 - the RabbitMQ that was found here
            [*self.launch.ctl, "--quiet", *arguments],
            env=self.launch.environment,
            cwd=self.plan.state,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            user=self.launch.user,
            group=self.launch.user,
            extra_groups=None if self.launch.user is None else [],
        ).stdout

    def _forget(self) -> None:
        self._process = None
        self.plan.pid_file.unlink(missing_ok=True)
        stop_epmd(self.plan.epmd_port)


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot: with its id that tells it from all others.

    None if it has ended, or where there is no /proc. Everyone may ask, unlike for a process's environment, which a
    container's root may not read of another user's process.
    """
    try:
        # proc(5): the second field may hold blanks and parentheses; the state is the third, the start the 22nd.
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else int(rest[18])


def node_environment(plan: NodePlan) -> dict[str, str]:
    """The environment of the server and of rabbitmqctl, without PATH; nothing of ours leaks into it."""
    return {
        "LANG": "C.UTF-8",
        "HOME": str(plan.state / "home"),  # where Erlang keeps its cookie
        "RABBITMQ_NODENAME": NODE_NAME,
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # not the machine's own RabbitMQ
        "RABBITMQ_CONFIG_FILE": str(plan.config / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(plan.config / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plan.config / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(plan.state / "data"),
        "RABBITMQ_LOG_BASE": str(plan.state / "log"),
        "RABBITMQ_LOGS": str(plan.log),
        "RABBITMQ_DIST_PORT": str(plan.distribution_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        **epmd_environment(plan.epmd_port),
    }


def prepare_folders(plan: NodePlan) -> None:
    """Make the node's folders and its own Erlang cookie: whoever holds that cookie owns the node."""
    plan.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in NODE_FOLDERS:
        (plan.state / name).mkdir(exist_ok=True)
    # O_EXCL: the folder is the node's, who may have put a link there; it is not followed.
    with suppress(FileExistsError):
        descriptor = os.open(plan.state / "home" / ".erlang.cookie", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with os.fdopen(descriptor, "w") as cookie:
            cookie.write(secrets.token_hex(24))


def hand_over(plan: NodePlan, user: str) -> None:
    """Give `user` what the node writes, and the files that it reads.

    The folders in which we write ourselves stay ours: as root we would follow any link that `user` puts there.
    """
    account = pwd.getpwnam(user)
    theirs, ours = (account.pw_uid, account.pw_gid), (os.geteuid(), account.pw_gid)
    os.chown(plan.state, *ours)
    plan.state.chmod(0o750)
    _chown(plan.config, folders=ours, files=theirs)
    for name in NODE_FOLDERS:
        _chown(plan.state / name, folders=theirs, files=theirs)


def _chown(top: Path, *, folders: tuple[int, int], files: tuple[int, int]) -> None:
    """Change owner and group of all below `top`, and of itself; what links lead to is left alone."""
    for _, _, names, folder in os.fwalk(top):
        os.chown(folder, *folders)
        for name in names:
            os.chown(name, *files, dir_fd=folder, follow_symlinks=False)
