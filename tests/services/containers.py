"""Containers for tests, by testcontainers, where a Docker engine answers.

`OBSERVER_TEST_SERVICES=containers` insists on them, `local` never uses them; unset: containers if there is an engine.
"""

import gc
import os
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import docker
from docker.errors import DockerException, ImageNotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

RABBITMQ_IMAGE = "rabbitmq:4-management"
MONGO_IMAGE = "mongo:8"


def containers_wanted() -> bool:
    """Whether services of this run come from containers."""
    choice = os.environ.get("OBSERVER_TEST_SERVICES", "")
    return choice == "containers" or (choice != "local" and engine_answers())


@cache
def engine_answers() -> bool:
    """Whether a Docker engine answers; asked once a run."""
    with warnings.catch_warnings():
        # Where nobody listens, Docker's library leaves its socket open: collected later, some test would get the blame.
        warnings.simplefilter("ignore", ResourceWarning)
        answers = _ping()
        gc.collect()
    return answers


def _ping() -> bool:
    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except DockerException:
        return False
    finally:
        client.close()


def container(image: str, ports: Mapping[int, int]) -> DockerContainer:
    """A container of `image`, not yet started, with `ports` (inside to outside) published on 127.0.0.1 only.

    Outside ports are given by the caller, because those that an engine chooses change with a restart.
    """
    _do_without_absent_reaper()
    made = DockerContainer(image)
    # testcontainers knows ports of every address only; Docker's own form with an address passes through it unchanged.
    published = cast("dict[str, Any]", made.ports)
    published.update({f"{inside}/tcp": ("127.0.0.1", outside) for inside, outside in ports.items()})
    return made


def _do_without_absent_reaper() -> None:
    # Ryuk removes what a killed test run leaves behind. Its image cannot be pulled everywhere (CI has no registry), and
    # our fixtures remove their own containers: use it where it is there already, and never wait for it.
    client = docker.from_env()
    try:
        client.images.get(testcontainers_config.ryuk_image)
    except ImageNotFound:
        testcontainers_config.ryuk_disabled = True
    finally:
        client.close()
