"""What a delivery means. Pure; nothing that a client can send makes it raise."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import orjson

from observer import topics
from observer.broker.base import Incoming
from observer.errors import InvalidMessage, InvalidPayload, InvalidTopic
from observer.message import (
    MAX_DEPTH,
    Refusal,
    Submission,
    client_message_id,
    derived_id,
    is_deeper_than,
    message_id_of,
)

MAX_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Refused:
    """A delivery that will never become a message."""

    code: str
    reason: str
    refusal: Refusal | None
    """What to tell the sender; None where the topic does not say who that is: then it is dead-lettered."""


def decode(incoming: Incoming, *, max_bytes: int = MAX_BYTES) -> Submission | Refused:
    """Read topic and payload, and fix the message's id. A body of more than `max_bytes` is not even parsed."""
    try:
        topic = _topic(incoming)
    except InvalidTopic as error:
        return _refused(error, topics.author(incoming.routing_key))
    try:
        return _submission(incoming, topic, _body(incoming, max_bytes))
    except InvalidPayload as error:
        return _refused(error, topics.Author(topic.app, topic.sender), topic.recipient)


def _topic(incoming: Incoming) -> topics.Outgoing:
    if not incoming.is_valid_text:
        raise InvalidTopic("invalid_utf8", "the topic is not valid UTF-8")
    return topics.parse(incoming.routing_key)


def _body(incoming: Incoming, max_bytes: int) -> dict[str, Any]:
    raw = incoming.body
    size = incoming.left_out or len(raw)
    if size > max_bytes:
        raise InvalidPayload("too_large", f"the message has {size} bytes; at most {max_bytes} are allowed")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidPayload("invalid_json", f"the payload is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise InvalidPayload("not_an_object", "the payload must be a JSON object, as {…}")
    # Counting brackets is almost free and rules out depth for nearly every message.
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and is_deeper_than(body, MAX_DEPTH):
        raise InvalidPayload("too_deep", f"the message nests objects and lists deeper than {MAX_DEPTH} levels")
    return body


def _submission(incoming: Incoming, topic: topics.Outgoing, body: dict[str, Any]) -> Submission:
    own_id = client_message_id(body)
    message_id, fingerprint = _identity(incoming, topic, own_id)
    return Submission(
        message_id=message_id,
        app=topic.app,
        sender=topic.sender,
        recipient=topic.recipient,
        body=body,
        size=len(incoming.body),
        client_message_id=own_id,
        is_repeat=incoming.is_redelivered or incoming.is_replayed or incoming.attempt > 1,
        fingerprint=fingerprint,
        is_unsure=fingerprint is not None and incoming.is_redelivered,
    )


def _identity(incoming: Incoming, topic: topics.Outgoing, own_id: str | None) -> tuple[str, str | None]:
    """Message id and fingerprint: the client's id, else what the broker stamped on the message, else chance.

    Only an id by chance needs the fingerprint: the next delivery of the same message gets another one, unless we parked
    it and noted the first.
    """
    if own_id is not None:
        return message_id_of(topic.app, topic.sender, own_id), None
    if incoming.message_id is not None:
        return incoming.message_id, None
    key = incoming.routing_key.encode()
    if incoming.broker_time_ms is not None:
        client = (incoming.client_id or "").encode(errors="backslashreplace")
        return derived_id("stamp", b"%d" % incoming.broker_time_ms, client, key, incoming.body), None
    return str(uuid4()), blake2b(key + b"\n" + incoming.body, digest_size=16).hexdigest()


def _refused(error: InvalidMessage, author: topics.Author | None, recipient: str | None = None) -> Refused:
    if author is None:
        return Refused(error.code, error.reason, None)
    told = Refusal(author.app, author.user, error.code, error.reason, recipient=recipient)
    return Refused(error.code, error.reason, told)
