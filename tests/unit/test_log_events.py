"""The vocabulary of log events is closed: what the source logs is in docs/operations.md, and nothing else is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from observer.logs import FOREIGN_EVENT

ROOT = Path(__file__).parents[2]
METHODS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
PRIVATE = frozenset({"body", "payload", "text", "token", "password", "secret", "authorization", "credential"})


def log_calls() -> Iterator[tuple[str, ast.Call, ast.Module]]:
    """Every call of a logger's method, with where it stands."""
    for folder in ("observer", "policies"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(module):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "logger" | "_log"), attr=attr)):
                        if attr in METHODS:
                            yield f"{path.relative_to(ROOT)}:{node.lineno}", node, module


def events_of(node: ast.expr, module: ast.Module) -> list[str]:
    """The events that the first argument can be: a word, one of two, or a name that is given such."""
    match node:
        case ast.Constant(value=str(event)):
            return [event]
        case ast.IfExp(body=body, orelse=orelse):
            return events_of(body, module) + events_of(orelse, module)
        case ast.Name(id=name):
            values = [one.value for one in ast.walk(module) if is_assignment(one, name) and isinstance(one, ast.Assign)]
            return [event for value in values for event in events_of(value, module)]
        case _:
            return []


def is_assignment(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]


def documented() -> list[str]:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    table = page.partition("### Log events")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_every_event_that_is_logged_is_documented_and_no_other() -> None:
    logged = {event for _, call, module in log_calls() for event in events_of(call.args[0], module)}
    assert logged | {FOREIGN_EVENT} == set(documented())


def test_no_event_is_documented_twice() -> None:
    assert len(documented()) == len(set(documented()))


def test_an_event_is_a_word_not_a_text() -> None:
    """Ids and reasons are values of their own: only then can an operator search and count."""
    made_up = [place for place, call, module in log_calls() if not call.args or not events_of(call.args[0], module)]
    assert made_up == []


def test_no_call_hands_a_private_value_to_the_log() -> None:
    """Redaction would mask it; it should not come that far."""
    private = [place for place, call, _ in log_calls() if PRIVATE & {keyword.arg for keyword in call.keywords}]
    assert private == []
