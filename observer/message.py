"""The types that travel through the pipeline, and the wire form of a message (docs/facts.md, "Chat21 messages").

Frozen, decoded at the border: behind `decode` nobody asks again whether a field is there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Any

import orjson

from observer.errors import InvalidPayload

MAX_CLIENT_MESSAGE_ID = 128
MAX_DEPTH = 128
"""Deepest nesting of a body: orjson reads 1024 levels but writes only 254, and what we store we must write."""
MAX_CLIENT_TIMESTAMP_MS = 8_640_000_000_000_000
"""The last moment that a JavaScript date can name; no store overflows on it."""
STAMPED_FIELDS = ("message_id", "sender", "recipient", "app_id", "timestamp", "status", "client_timestamp")
"""What the observer alone writes; a client's own value is overwritten (his timestamp: moved to client_timestamp)."""


class Status(IntEnum):
    """Status codes of an inbox copy (docs/facts.md, "Chat21 copies")."""

    FAILED = -100
    SENT = 100
    DELIVERED = 150


@dataclass(frozen=True, slots=True)
class Submission:
    """One message as a sender handed it in: decoded, identified, not yet judged."""

    message_id: str
    app: str
    sender: str
    recipient: str
    body: Mapping[str, Any] = field(repr=False)
    """The JSON object as sent, every field, unknown ones too."""
    size: int
    """Bytes of the payload as it came."""
    client_message_id: str | None = None
    is_repeat: bool = False
    """The broker or we ourselves had this very delivery before: its effects may have been half done."""
    fingerprint: str | None = None
    """What identifies a message that has no identity of its own (no client id, no broker stamp); else None."""
    is_unsure: bool = False
    """It has no identity, and the broker delivered it before: perhaps it is stored, under another id."""


@dataclass(frozen=True, slots=True)
class Message:
    """One stored message. Stored once; `owners` says in whose timelines it is."""

    message_id: str
    app: str
    sender: str
    recipient: str
    body: bytes = field(repr=False)
    """JSON object: the client's fields without the stamped ones."""
    timestamp_ms: int
    """Server clock, never behind the message before it in its shard."""
    owners: tuple[str, ...]
    shard: int
    offset: int
    client_message_id: str | None = None
    client_timestamp_ms: int | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """Something to publish for those who subscribe to it."""

    routing_key: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a sender is told about a message that was not accepted (docs/protocol.md, "Refusals")."""

    app: str
    sender: str
    code: str
    reason: str
    recipient: str | None = None
    client_message_id: str | None = None
    retry_after_s: float | None = None


def with_followers(publications: Sequence[Publication], refused: Iterable[int]) -> list[int]:
    """The refused ones, by index, and behind each what goes to the same inbox after it: so that order stays."""
    first_refused: dict[str, int] = {}
    for index in sorted(refused):
        first_refused.setdefault(publications[index].routing_key, index)
    end = len(publications)
    return [index for index, one in enumerate(publications) if index >= first_refused.get(one.routing_key, end)]


def refusal_of(submission: Submission, code: str, reason: str, retry_after_s: float | None = None) -> Refusal:
    """What the sender of this submission is told."""
    return Refusal(
        submission.app,
        submission.sender,
        code,
        reason,
        submission.recipient,
        submission.client_message_id,
        retry_after_s,
    )


def derived_id(kind: str, *parts: bytes) -> str:
    """The same id for the same parts, always: a UUID of version 8 (RFC 9562, 5.8) over a hash of them.

    Each part goes in with its length, so that no two lists of parts run together to the same bytes; `kind`, at most 16
    ASCII characters, keeps ids made for different purposes apart.
    """
    named = b"".join([b"%d:%b" % (len(part), part) for part in parts])
    digits = blake2b(named, digest_size=15, person=kind.encode()).hexdigest()
    # The two eights are the version, 8, and the variant, whose lower two bits may be anything.
    return f"{digits[:8]}-{digits[8:12]}-8{digits[12:15]}-8{digits[15:18]}-{digits[18:]}"


def message_id_of(app: str, sender: str, client_message_id: str) -> str:
    """The id of the message that a sender calls `client_message_id`: however often it comes, it is one message."""
    return derived_id("client", app.encode(), sender.encode(), client_message_id.encode())


def client_message_id(body: Mapping[str, Any]) -> str | None:
    """The id that the client gave its message; None where the field is absent or null.

    Raises InvalidPayload if it is not a string of 1 to 128 printable characters.
    """
    value = body.get("client_message_id")
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_CLIENT_MESSAGE_ID or not value.isprintable():
        raise InvalidPayload(
            "invalid_client_message_id",
            f"field `client_message_id` must be a string of 1 to {MAX_CLIENT_MESSAGE_ID} printable characters",
        )
    return value


def client_timestamp(body: Mapping[str, Any]) -> int | None:
    """When the client says that it wrote the message, in milliseconds since 1970; None where it says nothing usable."""
    value = body.get("timestamp")
    # type() and not isinstance(): True is an int too.
    return value if type(value) is int and 0 < value <= MAX_CLIENT_TIMESTAMP_MS else None


def own_fields(body: Mapping[str, Any]) -> bytes:
    """The client's own fields, in their order and without the stamped ones, as `Message.body` holds them."""
    return orjson.dumps({name: value for name, value in body.items() if name not in STAMPED_FIELDS})


def is_deeper_than(body: Mapping[str, Any], levels: int) -> bool:
    """Whether objects and lists are nested in `body` more than `levels` deep, `body` itself being the first."""
    nodes: list[Any] = [body]
    for _ in range(levels):
        nodes = [child for node in nodes for child in _children(node) if isinstance(child, (dict, list))]
        if not nodes:
            return False
    return True


def _children(node: Any) -> Iterable[Any]:
    return node if isinstance(node, list) else node.values()


def peer_of(message: Message, owner: str) -> str:
    """The other side of the conversation; the user himself in a note to himself."""
    return message.recipient if message.sender == owner else message.sender


def sole_owner(message: Message) -> str | None:
    """Whose alone the message is; None where it is in the timelines of both sides.

    Raises ValueError for any other owners: the stores keep no more than this about who may see a message.
    """
    sides = (message.sender, message.recipient)
    match message.owners:
        case (owner,) if owner in sides:
            return owner
        case (one, other) if {one, other} == {*sides} and one != other:
            return None
        case _:
            raise ValueError(f"owners of message {message.message_id} are not its sender, its recipient, or both")


def status_for(message: Message, owner: str) -> Status:
    """The status in `owner`'s copy: a sender never learns whether it was delivered (docs/facts.md, "Chat21 copies")."""
    return Status.SENT if message.sender == owner else Status.DELIVERED


def encode_copy(message: Message, owner: str) -> bytes:
    """The payload of one inbox copy: the client's fields, overwritten by the stamped ones."""
    return close_copy(open_copy(message), status_for(message, owner))


def close_copy(opened: bytes, status: Status) -> bytes:
    """What `open_copy` began, with the status."""
    return opened + b',"status":%d}' % status


def open_copy(message: Message) -> bytes:
    """`encode_copy` up to the status, which is all that differs from copy to copy."""
    stamped: dict[str, object] = {
        "message_id": message.message_id,
        "sender": message.sender,
        "recipient": message.recipient,
        "app_id": message.app,
        "timestamp": message.timestamp_ms,
    }
    if message.client_timestamp_ms is not None:
        stamped["client_timestamp"] = message.client_timestamp_ms
    own = message.body[:-1]
    return own + (b"," if len(own) > 1 else b"") + orjson.dumps(stamped)[1:-1]


def encode_refusal(refusal: Refusal) -> bytes:
    """The payload that tells a sender why."""
    told: dict[str, object] = {"status": int(Status.FAILED), "code": refusal.code, "reason": refusal.reason}
    if refusal.recipient is not None:
        told["recipient"] = refusal.recipient
    if refusal.client_message_id is not None:
        told["client_message_id"] = refusal.client_message_id
    if refusal.retry_after_s is not None:
        told["retry_after_s"] = round(refusal.retry_after_s, 3)
    return orjson.dumps(told)
