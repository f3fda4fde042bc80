"""Writes docs/configuration.md out of the settings tree, so that the page cannot differ from the program. Pure."""

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from observer.settings_keys import ROOT, SECRET_FILE_SUFFIX, Key, dotted, variable
from observer.settings_load import OTHER_VARIABLE_PREFIX

_INTRODUCTION = f"""# Configuration

<!-- Written by `make docs` from observer/settings.py: change it there. -->

Every setting has a default; a first run needs none.
Settings come from a TOML file and from the environment; the environment wins.
The file is named by `--config` or by `OBSERVER_CONFIG`.
A variable is `OBSERVER_`, then the key in capitals, with `__` where the file has a dot or a table.
A list is written with commas, or as JSON; a whole table may be written as JSON.
A secret may stand in a file of its own: add `{SECRET_FILE_SUFFIX}` to its variable and give the path.
Relative paths are taken from the folder in which the observer is started.
A name of your own choice (`<name>`) is lower-cased when it comes from the environment.

An unknown key is an error, in the file and in the environment, and the nearest known one is named.
`observer check-config` shows what is in force, where each value comes from, and what deserves a second look.
It never prints a secret.

```toml
# observer.toml
[broker]
host = "rabbitmq.internal"

[store]
url = "mongodb://mongo.internal/chat"

[identity.api_keys.shop]
app = "shop"
role = "issuer"
sha256 = "…"  # printf %s "$KEY" | sha256sum
```

```sh
export OBSERVER_BROKER__HOST=rabbitmq.internal
export OBSERVER_STORE__URL{SECRET_FILE_SUFFIX}=/run/secrets/store_url
```

Three variables are no settings: `OBSERVER_CONFIG` (above), `OBSERVER_RABBITMQ_BIN` (where `make run` finds a
RabbitMQ), and those that begin with `{OTHER_VARIABLE_PREFIX}` (CONTRIBUTING.md, "Tests").
"""


def reference() -> str:
    """The whole page, Markdown."""
    return "\n".join([_INTRODUCTION, *_section(ROOT)])


def _section(key: Key) -> Iterator[str]:
    """The table of the keys right below `key`, then the sections below it."""
    below = list(key.below())
    plain = [child for child in below if child.is_leaf]
    if plain:
        yield f"## `{dotted(key.path)}`" if key.path else "## At the top of the file"
        yield f"\n{_purpose(key)}\n"
        yield "| key | default | allowed | meaning |"
        yield "|---|---|---|---|"
        yield from (_row(child) for child in plain)
        yield ""
    for child in below:
        if not child.is_leaf:
            yield from _section(child)


def _purpose(key: Key) -> str:
    if key.field is not None and key.field.description:
        return key.field.description
    if key.section is None:
        return "Options of a third-party policy, by its entry point name (docs/policies.md)."
    return (key.section.__doc__ or "").strip()


def _row(key: Key) -> str:
    name = f"`{key.path[-1]}`<br>`{variable(key.path)}`"
    meaning = (
        key.field.description if key.field and key.field.description else "An option; its meaning is the policy's."
    )
    return " | ".join(("| " + name, _default(key), _escaped(key.allowed), _escaped(meaning) + " |"))


def _default(key: Key) -> str:
    default: Any = PydanticUndefined if key.field is None else key.field.get_default(call_default_factory=True)
    match default:
        case SecretStr():
            shown = default.get_secret_value()
        case Enum():
            shown = str(default.value)
        case bool() | tuple():
            shown = json.dumps(default)
        case _ if default is PydanticUndefined:
            return "required" if key.field else ""
        case _:
            shown = str(default)
    return f"`{shown}`" if shown else "empty"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
