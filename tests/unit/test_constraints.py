"""constraints.txt and pyproject.toml hold together: a build of next year gets the versions of today.

Mend it with `make constraints`.
"""

import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13")


def pins() -> dict[str, Requirement]:
    """Every line of constraints.txt, by the name of its package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in found}


def asked_for() -> list[Requirement]:
    """What pyproject.toml asks for, to run and to develop."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(text) for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])]


def needed(python: str) -> set[str]:
    """The packages that this version of Python needs, the indirect ones too."""
    seen: set[tuple[str, str]] = set()
    waiting = asked_for()
    while waiting:
        one = waiting.pop()
        for extra in ("", *one.extras):
            if (name := canonicalize_name(one.name), extra) not in seen:
                seen.add((name, extra))
                waiting += needed_by(name, python, extra)
    return {name for name, _ in seen}


def needed_by(package: str, python: str, extra: str) -> Iterator[Requirement]:
    """What a package that is installed here asks for, for an extra of it."""
    there = {"python_version": python, "python_full_version": f"{python}.0", "extra": extra}
    for text in requires(package) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(there):
            yield requirement


@pytest.mark.parametrize("dependency", asked_for(), ids=lambda one: one.name)
def test_every_direct_dependency_is_pinned_within_its_range(dependency: Requirement) -> None:
    pin = pins()[canonicalize_name(dependency.name)]
    [exact] = pin.specifier
    assert exact.operator == "=="
    assert exact.version in dependency.specifier


@pytest.mark.parametrize("python", PYTHONS)
def test_just_what_is_needed_is_pinned(python: str) -> None:
    """A package that is not pinned would be another one next year; one that nobody needs would stay for ever."""
    assert needed(python) == set(pins())
