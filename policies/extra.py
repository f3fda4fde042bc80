"""Third-party policies: found by the name of an entry point, made with the operator's options (docs/policies.md)."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from inspect import signature
from typing import TypeAlias

from observer.errors import ConfigError
from policies.base import Policy

GROUP = "inbox_observer.policies"
Scalar: TypeAlias = str | int | float | bool
ExtraOptions: TypeAlias = Mapping[str, Mapping[str, Scalar]]
"""Name of an entry point → its options."""


def load_extra(extra: ExtraOptions) -> list[Policy]:
    """The named policies, in the order in which they are named.

    Raises ConfigError for a name that no installed package offers, a package that cannot be imported, and options that
    its policy does not take.
    """
    known = {point.name: point for point in entry_points(group=GROUP)} if extra else {}
    return [_make(_find(known, name), options) for name, options in extra.items()]


def _find(known: Mapping[str, EntryPoint], name: str) -> EntryPoint:
    if name not in known:
        offered = ", ".join(sorted(known)) or "none"
        raise ConfigError(
            f"policies.extra.{name}: no installed package offers a policy of this name in the entry point group "
            f"{GROUP}; offered: {offered}. Install its package, or correct the name."
        )
    return known[name]


def _make(point: EntryPoint, options: Mapping[str, Scalar]) -> Policy:
    key = f"policies.extra.{point.name}"
    try:
        factory = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: {point.value} cannot be loaded: {error}") from error
    _check_options(key, factory, options)
    try:
        policy = factory(**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key}: {point.value} does not take these options: {error}") from error
    if not isinstance(policy, Policy) or not policy.name:
        raise ConfigError(f"{key}: {point.value} does not make a policies.base.Policy with a name")
    return policy


def _check_options(key: str, factory: object, options: Mapping[str, Scalar]) -> None:
    if not callable(factory):
        raise ConfigError(f"{key}: the entry point leads to {type(factory).__name__}, which makes no policy")
    expected = signature(factory)
    try:
        expected.bind(**options)
    except TypeError as error:
        known = ", ".join(expected.parameters) or "none"
        raise ConfigError(f"{key}: {error}; options of this policy: {known}") from error
