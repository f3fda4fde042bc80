"""Fills the settings tree from a TOML file and the environment; the environment wins.

Everything that is wrong is collected and told at once, each with its key, its value, what is allowed and how to set it.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from observer.errors import ConfigError
from observer.redaction import MASK, mask_text
from observer.settings import Settings
from observer.settings_checks import contradictions
from observer.settings_keys import (
    ENV_DELIMITER,
    ENV_PREFIX,
    ROOT,
    SECRET_FILE_SUFFIX,
    Key,
    KeyPath,
    dotted,
    find,
    leaves,
    variable,
)

OTHER_VARIABLES = ("OBSERVER_CONFIG", "OBSERVER_RABBITMQ_BIN")
"""Variables of ours that are no settings: the file's path, and where `make run` finds a broker's programs."""
OTHER_VARIABLE_PREFIX = "OBSERVER_TEST_"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where each value that is not the default came from (key path → file or variable)."""

    settings: Settings
    origins: Mapping[KeyPath, str]


@dataclass(slots=True)
class _Draft:
    """What was read so far."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def load_settings(config_file: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of this file (None: no file) and these variables. Raises ConfigError with everything wrong."""
    return load(config_file, environ).settings


def load(config_file: Path | None, environ: Mapping[str, str]) -> Loaded:
    """As `load_settings`, with the origin of each value."""
    draft = _Draft()
    if config_file is not None:
        _take(draft, ROOT, _read_toml(config_file), str(config_file))
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in OTHER_VARIABLES and not name.startswith(OTHER_VARIABLE_PREFIX):
            _take_variable(draft, name, environ[name])
    settings = _validated(draft)
    if settings is not None:
        draft.problems += contradictions(settings)
    if settings is None or draft.problems:
        raise ConfigError("the configuration cannot work:\n" + "\n".join(f"  - {text}" for text in draft.problems))
    return Loaded(settings, draft.origins)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not UTF-8
        raise ConfigError(f"the configuration file {path} is not TOML in UTF-8: {error}") from error


def _take(draft: _Draft, key: Key, value: Any, origin: str) -> None:
    """Put `value` at `key`; a table is taken key by key, so that two sources may each give a part of it."""
    if key.is_leaf or not isinstance(value, dict):
        _put(draft, key.path, value, origin)
        return
    if not value and key.path:  # an empty table stands for itself, an empty file for nothing
        _put(draft, key.path, {}, origin)
    for name, inner in value.items():
        child = key.child(name)
        if child is None:
            path = dotted((*key.path, name))
            draft.problems.append(f"{path} ({origin}): there is no such key{_nearest(path, _known_keys(key))}")
        else:
            _take(draft, child, inner, origin)


def _put(draft: _Draft, path: KeyPath, value: Any, origin: str) -> None:
    place = draft.values
    for name in path[:-1]:
        inner = place.get(name)
        if not isinstance(inner, dict):
            inner = place[name] = {}
        place = inner
    if value != {} or path[-1] not in place:
        place[path[-1]] = value
        draft.origins[path] = origin


def _take_variable(draft: _Draft, name: str, text: str) -> None:
    path = tuple(name.removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER))
    key = find(path)
    if key is not None:
        _take(draft, key, _env_value(key, text), name)
        return
    secret = find(tuple(name.removesuffix(SECRET_FILE_SUFFIX).removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER)))
    if name.endswith(SECRET_FILE_SUFFIX) and secret is not None and secret.is_leaf and secret.is_secret:
        _take_secret_file(draft, secret, name, Path(text))
    else:
        draft.problems.append(f"{name} (environment): there is no such key{_nearest(name, _known_variables())}")


def _take_secret_file(draft: _Draft, key: Key, name: str, path: Path) -> None:
    if draft.origins.get(key.path) == variable(key.path):
        draft.problems.append(f"{variable(key.path)} and {name} are both set: unset one of them")
        return
    try:
        _put(draft, key.path, path.read_text(encoding="utf-8").strip(), name)
    except OSError as error:
        draft.problems.append(f"{name} = {_shown_path(path)}: the file cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        draft.problems.append(f"{name} = {_shown_path(path)}: the file is not text in UTF-8")


def _shown_path(path: Path) -> str:
    """A path whose folder is there; anything else may be the secret itself, given where its file was asked for."""
    is_path = len(path.parts) > 1 and os.path.isdir(path.parent)  # noqa: PTH112 - never raises, unlike Path.is_dir
    return repr(str(path)) if is_path else "(value not shown, no folder of it exists)"


def _env_value(key: Key, text: str) -> Any:
    """A list may be written with commas or as JSON, a table as JSON, and an option of unknown type as JSON or text."""
    if key.annotation in (str, bool, int, float) or (key.is_leaf and key.is_secret):
        return text
    if key.is_list and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _validated(draft: _Draft) -> Settings | None:
    try:
        return Settings.model_validate(draft.values)
    except ValidationError as error:
        wrong = {_known_path(detail["loc"]): detail for detail in reversed(error.errors())}
        draft.problems += [_problem(draft, path, detail) for path, detail in reversed(wrong.items())]
        return None


def _known_path(place: tuple[int | str, ...]) -> KeyPath:
    """The key that a validation error is about; what pydantic says behind it (list index, kind of a union) is cut."""
    path: KeyPath = ()
    for name in place:
        key = find((*path, str(name)))
        if key is None:
            break
        path = key.path
    return path


def _problem(draft: _Draft, path: KeyPath, detail: ErrorDetails) -> str:
    key = find(path) or ROOT
    if detail["type"] == "missing":
        return f"{dotted(path)} is missing: it must be {key.allowed}; set it in the file or as {variable(path)}"
    shown = MASK if key.is_private else mask_text(repr(detail["input"]), max_length=80)
    origin = draft.origins.get(path, "configuration")
    how = "" if origin == variable(path) else f"; set it in the file or as {variable(path)}"
    return f"{dotted(path)} = {shown} ({origin}): it must be {key.allowed}{how}"


def _nearest(name: str, known: Iterator[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""


def _known_keys(near: Key) -> Iterator[str]:
    """The keys right below `near` first (most misspellings are of one word), then every other."""
    yield from (dotted(key.path) for key in near.below())
    yield from (dotted(key.path) for key in leaves())


def _known_variables() -> Iterator[str]:
    yield from OTHER_VARIABLES
    for key in leaves():
        yield variable(key.path)
        if key.is_secret:
            yield variable(key.path) + SECRET_FILE_SUFFIX
