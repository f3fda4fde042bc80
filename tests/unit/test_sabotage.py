"""The breaks of tests/sabotage still fit the source: else `make sabotage` would break nothing."""

import ast
from pathlib import Path

import pytest

from tests.sabotage.breaks import BREAKS, Break

ROOT = Path(__file__).parents[2]
EVERY = pytest.mark.parametrize("one", BREAKS, ids=lambda one: one.what)


@EVERY
def test_what_is_to_be_broken_stands_there_once(one: Break) -> None:
    assert (ROOT / one.file).read_text(encoding="utf-8").count(one.old) == 1


@EVERY
def test_the_test_that_must_notice_is_there(one: Break) -> None:
    file, _, name = one.test.partition("::")
    functions = {
        node.name
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not name or name.partition("[")[0] in functions


def test_every_promise_is_broken_in_some_way() -> None:
    assert {one.promise for one in BREAKS} == set(range(1, 9))
