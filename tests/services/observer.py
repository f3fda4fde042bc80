"""The observer as operators run it: a process of its own, configured by its environment, against a real broker."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from observer.settings import Settings
from observer.settings_load import load_settings
from observer.tokens.base import IssuedToken, Profile
from observer.tokens.wiring import build_tokens
from tests.services.people import Person
from tests.services.ports import free_port
from tests.services.rabbitmq import RunningBroker

APP = "demo"
API_KEY = "an-api-key-for-tests-only-0123456789"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0


@dataclass(slots=True)
class RunningObserver:
    """An observer process that tests may stop, kill and start again."""

    broker: RunningBroker
    environment: Mapping[str, str] = field(repr=False)
    log_file: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        """What the process was configured with."""
        return load_settings(None, {k: v for k, v in self.environment.items() if k.startswith("OBSERVER_")})

    @property
    def api_url(self) -> str:
        """Where its HTTP API is."""
        return f"http://127.0.0.1:{self.settings.api.port}"

    @property
    def websocket_url(self) -> str:
        """MQTT over WebSocket, at the broker."""
        return f"ws://127.0.0.1:{self.broker.websocket_port}/ws"

    @property
    def mqtt_port(self) -> int:
        """Plain MQTT, at the broker."""
        return self.broker.mqtt_port

    @property
    def api_key(self) -> str:
        """A key with the role admin for APP."""
        return API_KEY

    def issue(self, user: str, *, app: str = APP, profile: Profile = Profile.STANDARD) -> IssuedToken:
        """A broker token for one user."""
        return build_tokens(self.settings)[0].issue(app, user, profile=profile)

    def person(self, user: str, **options: Any) -> Person:
        """Somebody who chats here, not connected yet; `options` as Person takes them."""
        return Person(self.issue(user), self.mqtt_port, **options)

    def api(self, user: str | None = None) -> httpx.Client:
        """Its HTTP API for a user, with his broker token; without one for the administrator."""
        credential = self.api_key if user is None else self.issue(user).token
        return httpx.Client(base_url=self.api_url, headers={"Authorization": f"Bearer {credential}"}, timeout=20)

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process is None or self.process.poll() is not None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.begin()
        self.wait_until_ready()

    def begin(self) -> None:
        """Start it without waiting."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "observer", "run"], env=dict(self.environment), stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        """Return once /readyz says so; fail with the log if the process ends before."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.is_ready():
            assert self.process is not None
            assert self.process.poll() is None, f"the observer ended with {self.process.returncode}: {self.log()}"
            assert time.monotonic() < deadline, f"the observer is not ready: {self.log()}"
            time.sleep(0.05)

    def wait_until(self, is_true: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait for something that this observer tells about itself."""
        deadline = time.monotonic() + timeout_s
        while not is_true():
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}: {self.log()[-4000:]}"
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """What /readyz says now."""
        try:
            return httpx.get(f"{self.api_url}/readyz", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: it holds its connections and does nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM)

    def log(self) -> str:
        """Everything it wrote."""
        return self.log_file.read_text(errors="replace")

    def metrics(self) -> str:
        """The page /metrics."""
        with self.api() as api:
            return api.get("/metrics").raise_for_status().text

    def metric(self, name: str, **labels: str) -> float:
        """One sample of /metrics."""
        wanted = name + ("{" + ",".join(f'{k}="{v}"' for k, v in sorted(labels.items())) + "}" if labels else "")
        for line in self.metrics().splitlines():
            if line.startswith(wanted + " "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no metric {wanted}")

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def _end(self, number: int) -> int:
        assert self.process is not None
        self._signal(number)
        return self.process.wait(STOP_TIMEOUT_S)


def environment_of(broker: RunningBroker, directory: Path, **overrides: str) -> dict[str, str]:
    """The environment of an observer on this broker, with the embedded store in `directory`."""
    api_port = free_port()
    settings = {
        "OBSERVER_BROKER__PORT": str(broker.amqps_port),
        "OBSERVER_BROKER__CA_FILE": str(broker.directory / "ca.pem"),
        "OBSERVER_BROKER__CERT_FILE": str(broker.directory / "observer.pem"),
        "OBSERVER_BROKER__KEY_FILE": str(broker.directory / "observer.key"),
        "OBSERVER_BROKER__SHARDS": str(broker.shards),
        "OBSERVER_STORE__URL": f"sqlite:///{directory}/observer.db",
        "OBSERVER_TOKENS__KEYS_DIR": str(broker.keys_dir),
        "OBSERVER_API__PORT": str(api_port),
        "OBSERVER_API__RATE_CAPACITY": "100000",
        "OBSERVER_API__RATE_REFILL_PER_S": "100000",
        "OBSERVER_POLICIES__RATE_LIMIT__CAPACITY": "100000",
        "OBSERVER_POLICIES__RATE_LIMIT__REFILL_PER_S": "100000",
        "OBSERVER_IDENTITY__API_KEYS__TEST__APP": APP,
        "OBSERVER_IDENTITY__API_KEYS__TEST__ROLE": "admin",
        "OBSERVER_IDENTITY__API_KEYS__TEST__SHA256": hashlib.sha256(API_KEY.encode()).hexdigest(),
        "OBSERVER_PUBLIC__MQTT_URL": f"mqtt://127.0.0.1:{broker.mqtt_port}",
        "OBSERVER_PUBLIC__WEBSOCKET_URL": f"ws://127.0.0.1:{broker.websocket_port}/ws",
        "OBSERVER_PUBLIC__API_URL": f"http://127.0.0.1:{api_port}",
    }
    if broker.shared_key is not None:
        settings |= {
            "OBSERVER_TOKENS__CHAT21__ENABLED": "true",
            "OBSERVER_TOKENS__CHAT21__KEY": broker.shared_key.secret.decode(),
        }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OBSERVER_")}
    return inherited | settings | overrides


@contextmanager
def running_observer(broker: RunningBroker, directory: Path, **overrides: str) -> Iterator[RunningObserver]:
    """An observer that is ready; it is gone afterwards."""
    environment = environment_of(broker, directory, **overrides)
    observer = RunningObserver(broker, environment, directory / f"observer-{environment['OBSERVER_API__PORT']}.log")
    try:
        observer.start()
        yield observer
    finally:
        if observer.process is not None and observer.process.poll() is None:
            observer.resume()
            observer.stop()  # in order, so that nothing of this test comes again in the next one


@pytest.fixture
def observer(broker: RunningBroker, store_url: str, tmp_path: Path) -> Iterator[RunningObserver]:
    """An observer on the shared broker with a fresh store: SQLite, if the test is not marked `every_store`."""
    with running_observer(broker, tmp_path, OBSERVER_STORE__URL=store_url) as running:
        yield running
