"""Messages for tests: everything that a test does not speak of has a value that does not matter."""

import uuid
from collections.abc import Sequence

from observer.message import Message

APP = "shop"
NOW_MS = 1_760_000_000_000


def message_id(number: int) -> str:
    """The message id that `make_message` gives to the message at this offset of shard 0."""
    return _id(0, number)


def _id(shard: int, offset: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{shard}/{offset}"))


def make_message(
    sender: str = "alice",
    recipient: str = "bob",
    *,
    offset: int = 0,
    shard: int = 0,
    app: str = APP,
    owners: tuple[str, ...] | None = None,
    timestamp_ms: int | None = None,
    message_id: str | None = None,
    body: bytes = b'{"text":"hello"}',
    client_message_id: str | None = None,
    client_timestamp_ms: int | None = None,
    fingerprint: str | None = None,
) -> Message:
    """A message; at a higher offset it is later by as many milliseconds."""
    return Message(
        message_id=message_id or _id(shard, offset),
        app=app,
        sender=sender,
        recipient=recipient,
        body=body,
        timestamp_ms=NOW_MS + offset if timestamp_ms is None else timestamp_ms,
        owners=(sender, recipient) if owners is None else owners,
        shard=shard,
        offset=offset,
        client_message_id=client_message_id,
        client_timestamp_ms=client_timestamp_ms,
        fingerprint=fingerprint,
    )


def offsets(messages: Sequence[Message]) -> Sequence[int]:
    """The offsets of messages, in their order."""
    return [message.offset for message in messages]
