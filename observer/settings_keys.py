"""The keys of the settings tree: what there is, what each allows, and how each is spelt in the environment.

Loading, `check-config` and docs/configuration.md all ask here, so that they cannot disagree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from observer.settings import Settings

ENV_PREFIX = "OBSERVER_"
ENV_DELIMITER = "__"
SECRET_FILE_SUFFIX = "_FILE"  # noqa: S105
ANY_NAME = "<name>"

KeyPath = tuple[str, ...]

_KINDS: Mapping[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    SecretStr: "text (secret)",
}
_BOUNDS = (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than"))


@dataclass(frozen=True, slots=True)
class Key:
    """One place in the tree. `field` is None for the root and for what stands under a name of the operator's choice."""

    path: KeyPath
    annotation: Any
    field: FieldInfo | None = None

    @property
    def section(self) -> type[BaseModel] | None:
        """The section that stands here, if one does."""
        is_section = isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel)
        return self.annotation if is_section else None

    @property
    def is_table(self) -> bool:
        """Whether keys stand below this one, of any name."""
        return get_origin(self.annotation) is dict

    @property
    def is_list(self) -> bool:
        return get_origin(self.annotation) is tuple

    @property
    def is_leaf(self) -> bool:
        return self.section is None and not self.is_table

    @property
    def is_secret(self) -> bool:
        """Whether the value here is a secret."""
        return self.annotation is SecretStr

    @property
    def is_private(self) -> bool:
        """Whether what was written here must not be shown: it is a secret, or may be one, or something below it is."""
        is_hash = self.field is not None and not self.field.repr
        return self.is_secret or is_hash or any(below.is_private for below in self.below())

    @property
    def allowed(self) -> str:
        """What may be written here, in words."""
        return f"{_kind(self.annotation)}{_bounds(self.field)}"

    def child(self, name: str) -> "Key | None":
        """The key of this name right below, or None."""
        if self.is_table:
            return Key((*self.path, name), get_args(self.annotation)[1])
        field = self.section.model_fields.get(name) if self.section else None
        return Key((*self.path, name), field.annotation, field) if field else None

    def below(self) -> "Iterator[Key]":
        """The keys right below; one `<name>` where any name may stand."""
        names = [ANY_NAME] if self.is_table else list(self.section.model_fields) if self.section else []
        return (key for name in names if (key := self.child(name)))


ROOT = Key((), Settings)


def find(path: KeyPath) -> Key | None:
    """The key at `path`, or None."""
    key: Key | None = ROOT
    for name in path:
        key = key.child(name) if key else None
    return key


def leaves(key: Key = ROOT) -> Iterator[Key]:
    """Every key under `key` that takes a value, in the order of the tree."""
    for below in key.below():
        if below.is_leaf:
            yield below
        else:
            yield from leaves(below)


def dotted(path: KeyPath) -> str:
    """`broker.host`, as in the file."""
    return ".".join(path)


def variable(path: KeyPath) -> str:
    """`OBSERVER_BROKER__HOST`, as in the environment."""
    return ENV_PREFIX + ENV_DELIMITER.join(name if name == ANY_NAME else name.upper() for name in path)


def _kind(annotation: Any) -> str:
    if annotation in _KINDS:
        return _KINDS[annotation]
    if get_origin(annotation) is Literal:
        return _one_of(get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"a list, each of it {_kind(get_args(annotation)[0])}"
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return _one_of([member.value for member in annotation])
    if get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return "a table"
    return " or ".join(_kind(one) for one in get_args(annotation))


def _one_of(values: Any) -> str:
    return " or ".join(f"`{value}`" for value in values)


def _bounds(field: FieldInfo | None) -> str:
    found = [
        f"{words} {getattr(limit, name)}"
        for limit in (field.metadata if field else [])
        for name, words in _BOUNDS
        if hasattr(limit, name)
    ]
    patterns = [limit.pattern for limit in (field.metadata if field else []) if getattr(limit, "pattern", None)]
    found += [f"matching `{pattern}`" for pattern in patterns]
    return f", {', '.join(found)}" if found else ""
