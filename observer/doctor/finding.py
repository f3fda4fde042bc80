"""What a check found."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # works, or will work; an operator should know
    FAILED = "failed"  # the observer cannot do its work, or somebody can do what he must not


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one subject, and what to do about it unless all is well."""

    check: str
    level: Level
    text: str
    remedy: str = ""


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Worth knowing."""
    return Finding(check, Level.WARNING, text, remedy)


def failed(check: str, text: str, remedy: str) -> Finding:
    """Has to be mended."""
    return Finding(check, Level.FAILED, text, remedy)
