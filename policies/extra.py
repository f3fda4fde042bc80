"""Third-party policies: found by the name of an entry point, made with the operator's options (docs/policies.md)."""

from collections import Counter
from collections.abc import Mapping, Sequence
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


def check_names(policies: Sequence[Policy]) -> None:
    """Raise ConfigError if two policies bear one name: metrics and logs could not tell them apart."""
    for name, count in Counter(policy.name for policy in policies).items():
        if count > 1:
            raise ConfigError(f"policies.extra: {count} policies call themselves {name!r}; leave one of them out")


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
    # Modules and factories of others may fail in any way; whatever they raise, this configuration cannot work.
    try:
        factory = point.load()
    except Exception as error:
        raise ConfigError(f"{key}: {point.value} cannot be loaded: {_shown(error)}") from error
    _check_options(key, factory, options)
    try:
        policy = factory(**options)
    except Exception as error:
        raise ConfigError(f"{key}: {point.value} cannot work with these options: {_shown(error)}") from error
    if not isinstance(policy, Policy) or not policy.name:
        raise ConfigError(f"{key}: {point.value} does not make a policies.base.Policy with a name")
    return policy


def _check_options(key: str, factory: object, options: Mapping[str, Scalar]) -> None:
    if not callable(factory):
        raise ConfigError(f"{key}: the entry point leads to {type(factory).__name__}, which makes no policy")
    expected = signature(factory)
    try:
        expected.bind_partial(**options)  # first, because it names an option that is not known rather than one missing
        expected.bind(**options)
    except TypeError as error:
        known = ", ".join(expected.parameters) or "none"
        raise ConfigError(f"{key}: {error}; options of this policy: {known}") from error


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
