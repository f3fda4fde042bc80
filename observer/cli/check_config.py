"""`observer check-config`: the configuration in force, where it comes from, and what deserves a second look."""

import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import click
from pydantic import BaseModel, SecretStr

from observer.cli.config_docs import reference
from observer.cli.context import Context
from observer.redaction import MASK, mask_value
from observer.settings_checks import risks
from observer.settings_keys import ROOT, Key, KeyPath
from observer.settings_load import Loaded

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@click.command("check-config")
@click.option("--changed", is_flag=True, help="Only what is not at its default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: values, origins and warnings.")
@click.option("--reference", "is_reference", is_flag=True, help="Print docs/configuration.md instead.")
@click.pass_obj
def check_config(context: Context, *, changed: bool, as_json: bool, is_reference: bool) -> None:
    """Show the configuration in force, secrets masked, and where each value comes from.

    What is printed is TOML that the observer reads again; secrets stand in it as comments.
    Warnings go to standard error. Exit status 2 if the configuration cannot work, with everything that is wrong.
    """
    if is_reference:
        click.echo(reference(), nl=False)
        return
    loaded = context.loaded
    warnings = risks(loaded.settings)
    if as_json:
        click.echo(json.dumps(_as_object(loaded, warnings), indent=2))
        return
    for line in _lines(loaded, only_changed=changed):
        click.echo(line)
    for text in warnings:
        click.echo(f"warning: {text}", err=True)
    click.echo(f"The configuration is valid, {len(warnings)} warning{'' if len(warnings) == 1 else 's'}.", err=True)


def values(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    """Every value under `key`, in the order of the tree; private ones masked."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if not isinstance(value, dict):
        yield key, _shown(key, value)
        return
    for name, inner in value.items():
        child = key.child(name)
        if child is not None:
            yield from values(child, inner)


def _shown(key: Key, value: Any) -> Any:
    match value:
        case SecretStr():
            return _shown_secret(key.path, value.get_secret_value())
        case PurePath():
            return str(value)
        case tuple():
            return list(value)
        case _ if key.field is None:  # an option of a third-party policy, which has no way to call itself secret
            return mask_value(key.path[-1], value)
        case _:
            return value


def _shown_secret(path: KeyPath, value: str) -> str:
    """A store's URL without the credentials and options in it; of any other secret, whether there is one."""
    if path != ("store", "url"):
        return MASK if value else ""
    parts = urlsplit(value)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{MASK + '@' if host != parts.netloc else ''}{host}{parts.path}"


def _lines(loaded: Loaded, *, only_changed: bool) -> Iterator[str]:
    for key, value in values(ROOT, loaded.settings):
        origin = loaded.origins.get(key.path)
        if origin is None and only_changed:
            continue
        is_hidden = isinstance(value, str) and MASK in value
        line = f"{'# ' if is_hidden else ''}{_toml_key(key.path)} = {json.dumps(value, ensure_ascii=False)}"
        yield f"{line}  # from {origin}" if origin else line


def _as_object(loaded: Loaded, warnings: list[str]) -> dict[str, Any]:
    found = [
        {"key": _toml_key(key.path), "value": value, "origin": loaded.origins.get(key.path) or "default"}
        for key, value in values(ROOT, loaded.settings)
    ]
    return {"settings": found, "warnings": warnings}


def _toml_key(path: KeyPath) -> str:
    return ".".join(name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in path)
