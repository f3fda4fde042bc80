"""RabbitMQ in a container."""

from pathlib import Path

from observer.local.container import launch_container
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
