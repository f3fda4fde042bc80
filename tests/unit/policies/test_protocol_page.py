"""docs/protocol.md says what the code does: its examples are real payloads, and its table knows every code."""

import ast
import re
from pathlib import Path

import orjson

from observer.message import (
    Message,
    Refusal,
    client_timestamp,
    encode_copy,
    encode_refusal,
    message_id_of,
    own_fields,
)
from policies.rate_limit import RateLimitPolicy
from tests.unit.policies.options import DEFAULTS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
SENT, COPY, REFUSAL = (orjson.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
REFUSING = {"InvalidTopic": 0, "InvalidPayload": 0, "Reject": 0, "_beyond": 0, "refusal_of": 1, "Refusal": 2}
"""What words a refusal → at which place it takes the code."""


def test_the_copy_on_the_page_is_what_becomes_of_the_message_on_the_page() -> None:
    message = Message(
        message_id=message_id_of("demo", "alice", SENT["client_message_id"]),
        app="demo",
        sender="alice",
        recipient="bob",
        body=own_fields(SENT),
        timestamp_ms=COPY["timestamp"],
        owners=("alice", "bob"),
        shard=0,
        offset=0,
        client_timestamp_ms=client_timestamp(SENT),
    )
    copy = orjson.loads(encode_copy(message, "bob"))
    assert copy == COPY
    assert list(copy) == list(COPY), "the order of the fields is part of what the page says"


def test_the_refusal_on_the_page_is_what_a_sender_gets() -> None:
    assert DEFAULTS.rate_limit is not None
    reason = RateLimitPolicy(DEFAULTS.rate_limit)._reason
    told = encode_refusal(Refusal("demo", "alice", "rate_limited", reason, "bob", "a-2", 0.2))
    assert orjson.loads(told) == REFUSAL


def codes_in(path: Path) -> set[str]:
    """The codes of all refusals that this module words itself: string constants where a code is expected."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = REFUSING.get(node.func.id)
            if place is not None and isinstance(code := node.args[place], ast.Constant):
                found.add(str(code.value))
    return found


def test_the_page_lists_every_code_and_no_other() -> None:
    table = PAGE.split("| code | what was wrong |")[1].split("\n\n")[0]
    listed = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    modules = [
        ROOT / "observer" / "topics.py",
        ROOT / "observer" / "message.py",
        *(ROOT / "observer" / "pipeline").glob("*.py"),
        *(ROOT / "policies").glob("*.py"),
    ]
    assert listed == set().union(*map(codes_in, modules))
