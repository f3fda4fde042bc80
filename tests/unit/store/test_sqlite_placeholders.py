"""How values are given to SQLite, where Python 3.11 lets pass what a later one does not."""

import re
from pathlib import Path

import pytest

from observer import store

FILES = sorted(Path(store.__file__).parent.glob("sqlite*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_placeholder_has_a_number(file: Path) -> None:
    """`?1` with a sequence of values is deprecated since Python 3.12 and an error in 3.14; `?` or `:name` it is."""
    assert re.findall(r"\?\d+", file.read_text(encoding="utf-8")) == []
