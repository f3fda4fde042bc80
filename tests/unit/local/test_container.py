"""RabbitMQ in a container."""

from pathlib import Path

import pytest

from observer.errors import ConfigError
from observer.local.container import image_version, launch_container
from observer.local.node import NodePlan
from observer.setup.broker_files import BrokerPorts


def test_a_container_publishes_on_loopback_only() -> None:
    """Inside, it listens on every address."""
    plan = NodePlan(Path("/var/config"), Path("/var/state"), distribution_port=1, epmd_port=2)

    launch = launch_container(plan, BrokerPorts())
    published = [word for word in launch.server if word.startswith("--publish=")]

    assert len(published) == len(BrokerPorts.__slots__)
    assert all(word.startswith("--publish=127.0.0.1:") for word in published)
    assert "--volume=/var/config:/var/config:ro" in launch.server


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The version in the image that a Docker engine has: what is written here, that engine's containers print."""
    told = tmp_path / "version"
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    engine.write_text(f"#!/bin/sh\nexec cat {told}\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{engine.parent}:/usr/bin:/bin")
    return told


def test_an_image_is_asked_which_version_it_holds(image: Path) -> None:
    image.write_text("4.2.1\n")
    assert image_version() == (4, 2)


def test_an_old_image_that_is_still_here_is_told_with_what_replaces_it(image: Path) -> None:
    """Its tag says 4, and it would not start."""
    image.write_text("4.1.4\n")
    with pytest.raises(ConfigError, match=r"rabbitmq:4-management is 4\.1\.4.*docker pull rabbitmq:4-management"):
        image_version()
