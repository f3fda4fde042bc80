"""What happens when a service that tests need is not on this machine: skip on a laptop, fail in CI.

`OBSERVER_TEST_REQUIRE` lists the services that must be there: `rabbitmq`, `mongo`, `docker`, `node`, and
`mount`, which is the right to make a file system of a few megabytes; comma separated.
Where it is not set, all of them must be there if `CI` is set, and none if not.
"""

import os
from collections.abc import Mapping
from typing import NoReturn

import pytest

SERVICES = frozenset({"rabbitmq", "mongo", "docker", "node", "mount"})


def required_services(environment: Mapping[str, str]) -> frozenset[str]:
    """The services whose absence is a failure. Raises pytest.UsageError for a name that is none of SERVICES."""
    listed = environment.get("OBSERVER_TEST_REQUIRE")
    if listed is None:
        return SERVICES if environment.get("CI") else frozenset()
    names = frozenset(name.strip() for name in listed.split(",") if name.strip())
    if unknown := names - SERVICES:
        raise pytest.UsageError(f"OBSERVER_TEST_REQUIRE names {sorted(unknown)}; known are {sorted(SERVICES)}")
    return names


def missing(service: str, reason: str) -> NoReturn:
    """End the test that needs `service`: skipped with `reason`, or failed where the service is required."""
    if service in required_services(os.environ):
        pytest.fail(f"{service} is required here (OBSERVER_TEST_REQUIRE or CI): {reason}", pytrace=False)
    pytest.skip(reason)
