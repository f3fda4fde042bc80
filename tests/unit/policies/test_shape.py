"""Policy `shape`: what a message may look like (docs/facts.md, "Chat21 messages")."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.base import ALLOW, Facts, Reject, Verdict
from policies.shape import ShapeOptions, ShapePolicy
from tests.unit.policies.submissions import make_submission

LIMITS = ShapeOptions(max_bytes=1000, max_depth=3, max_fields=5, max_text=10)


def judge(body: dict[str, Any], *, size: int = 20, recipient: str = "bob", limits: ShapeOptions = LIMITS) -> Verdict:
    return ShapePolicy(limits).on_submit(make_submission(body, recipient=recipient, size=size), Facts(now_ms=0))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "0123456789"},
        {"text": "", "type": "text", "channel_type": "direct"},
        {"text": None, "type": None, "attributes": None, "metadata": None, "channel_type": None},
        {"metadata": ""},
        {"metadata": {"src": "a.png", "width": 1}, "attributes": {"a": [1]}},
        {"colour": [1, 2], "": True},
        {"text": "é" * 10},
        {"timestamp": "not a number"},
        dict.fromkeys("abcde"),
    ],
    ids=str,
)
def test_a_message_within_the_limits_is_allowed_whatever_else_it_carries(body: dict[str, Any]) -> None:
    assert judge(body) is ALLOW


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"text": "0123456789a"}, "text_too_long"),
        (dict.fromkeys("abcdef"), "too_many_fields"),
        ({"a": {"b": {"c": {}}}}, "too_deep"),
        ({"a": [[[]]]}, "too_deep"),
        ({"text": 1}, "invalid_field"),
        ({"text": ["hello"]}, "invalid_field"),
        ({"type": {}}, "invalid_field"),
        ({"recipient_fullname": True}, "invalid_field"),
        ({"sender_fullname": 1.5}, "invalid_field"),
        ({"attributes": "x"}, "invalid_field"),
        ({"attributes": []}, "invalid_field"),
        ({"attributes": ""}, "invalid_field"),
        ({"metadata": "x"}, "invalid_field"),
        ({"metadata": []}, "invalid_field"),
        ({"metadata": 0}, "invalid_field"),
        ({"metadata": False}, "invalid_field"),
        ({"channel_type": 1}, "invalid_field"),
        ({"channel_type": "room"}, "invalid_field"),
        ({"channel_type": "group"}, "groups_not_supported"),
    ],
    ids=str,
)
def test_a_message_outside_the_contract_is_refused_with_the_code_of_what_is_wrong(
    body: dict[str, Any], code: str
) -> None:
    verdict = judge(body)
    assert isinstance(verdict, Reject)
    assert verdict.code == code
    assert verdict.retry_after_s is None


def test_the_size_of_the_payload_as_it_came_counts() -> None:
    assert judge({}, size=1000) is ALLOW
    assert judge({}, size=1001) == Reject("too_large", "the message has 1001 bytes; at most 1000 are allowed")


@pytest.mark.parametrize("recipient", ["group-1", "support-group-abc"])
def test_a_recipient_that_stock_clients_take_for_a_group_is_refused_as_long_as_there_are_no_groups(
    recipient: str,
) -> None:
    verdict = judge({"channel_type": "direct"}, recipient=recipient)
    assert isinstance(verdict, Reject)
    assert verdict.code == "groups_not_supported"


@given(levels=st.integers(1, 40), limit=st.integers(1, 40))
def test_exactly_the_levels_beyond_the_limit_are_too_deep(levels: int, limit: int) -> None:
    body: dict[str, Any] = {}
    for level in range(1, levels):
        body = {"a": body, "b": 1} if level % 2 else {"a": 1, "b": [body]} if level + 2 <= levels else {"a": body}
    deep = _levels(body)
    verdict = judge(body, limits=replace(LIMITS, max_depth=limit))
    assert (verdict is not ALLOW) == (deep > limit)


def _levels(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_levels, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_levels, value), default=0)
    return 0


def test_a_reason_never_repeats_what_the_message_said() -> None:
    verdict = judge({"text": "secret secret secret"})
    assert isinstance(verdict, Reject)
    assert "secret" not in verdict.reason
