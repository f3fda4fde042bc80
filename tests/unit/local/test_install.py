"""Installing the distribution's RabbitMQ."""

from pathlib import Path

from observer.local.install import no_service_starts


def test_no_service_is_started_while_packages_are_installed(tmp_path: Path) -> None:
    """The system's own RabbitMQ is not ours to start; afterwards everything is as before."""
    policy = tmp_path / "policy-rc.d"

    with no_service_starts(policy):
        during = (policy.read_text(), policy.stat().st_mode & 0o111)

    assert during == ("#!/bin/sh\nexit 101\n", 0o111)
    assert not policy.exists()


def test_an_operators_own_policy_is_left_alone(tmp_path: Path) -> None:
    """It may be stricter, or looser, than ours."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text("own")

    with no_service_starts(policy):
        during = policy.read_text()

    assert (during, policy.read_text()) == ("own", "own")
