"""Policy `shape`: what a message may look like."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from observer.message import Submission, is_deeper_than
from policies.base import ALLOW, Facts, Policy, Reject, Verdict

TEXT_FIELDS = ("text", "type", "recipient_fullname", "sender_fullname", "channel_type")
GROUP_MARK = "group-"


@dataclass(frozen=True, slots=True)
class ShapeOptions:
    """Limits of one message."""

    max_bytes: int
    """Largest payload."""
    max_depth: int
    """Deepest nesting; the message object itself is the first level."""
    max_fields: int
    """Most fields of the message object itself."""
    max_text: int
    """Most characters of `text`."""


class ShapePolicy(Policy):
    """Refuses a message that is too large, or whose known fields have not the type that clients rely on.

    The types are those of docs/facts.md, "Chat21 messages". Fields that nobody knows are allowed and kept.
    """

    name = "shape"

    def __init__(self, options: ShapeOptions) -> None:
        self._options = options

    def on_submit(self, submission: Submission, facts: Facts) -> Verdict:
        """Reject with the code of the first thing that is wrong."""
        return self._check_size(submission) or _check_types(submission.body) or _check_channel(submission) or ALLOW

    def _check_size(self, submission: Submission) -> Reject | None:
        options, body = self._options, submission.body
        if submission.size > options.max_bytes:
            return _beyond("too_large", "the message", submission.size, "bytes", options.max_bytes)
        if len(body) > options.max_fields:
            return _beyond("too_many_fields", "the message", len(body), "fields", options.max_fields)
        text = body.get("text")
        if isinstance(text, str) and len(text) > options.max_text:
            return _beyond("text_too_long", "`text`", len(text), "characters", options.max_text)
        if is_deeper_than(body, options.max_depth):
            return Reject("too_deep", f"the message nests objects and lists deeper than {options.max_depth} levels")
        return None


def _beyond(code: str, what: str, count: int, unit: str, limit: int) -> Reject:
    return Reject(code, f"{what} has {count} {unit}; at most {limit} are allowed")


def _check_types(body: Mapping[str, Any]) -> Reject | None:
    for name in TEXT_FIELDS:
        value = body.get(name)
        if value is not None and not isinstance(value, str):
            return _wrong_type(name, "a string or null")
    attributes, metadata = body.get("attributes"), body.get("metadata")
    if attributes is not None and not isinstance(attributes, dict):
        return _wrong_type("attributes", "an object or null")
    if metadata not in (None, "") and not isinstance(metadata, dict):
        return _wrong_type("metadata", 'an object, null or ""')
    return None


def _wrong_type(name: str, expected: str) -> Reject:
    return Reject("invalid_field", f"field `{name}` must be {expected}")


def _check_channel(submission: Submission) -> Reject | None:
    # A recipient id that contains `group-` is a group whatever channel_type says (docs/facts.md, "Chat21 groups").
    channel = submission.body.get("channel_type")
    if channel == "group" or GROUP_MARK in submission.recipient:
        return Reject("groups_not_supported", "this server carries direct messages only, not groups")
    if channel not in (None, "direct"):
        return Reject("invalid_field", "field `channel_type` must be `direct` or absent")
    return None
