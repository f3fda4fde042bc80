"""The sync token: an opaque word for how much of his timeline a reader has seen (docs/api.md, "Catching up").

It holds the last offset seen in every shard, and one witness: the newest message seen, by id and place. If the store
does not hold the witness at that place any more (another store, one set back to an older copy), then offsets mean
nothing and the reader must start over. It is bound to app and user by a checksum. That is no signature: who forges a
token can only change which of his own messages he is shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import orjson

from observer.api.opaque import decode_opaque, encode_opaque
from observer.message import Message

_VERSION = "1"
_CHECKSUM_BYTES = 12
_MAX_LENGTH = 16_384
_MAX_SHARD = 255
_MAX_OFFSET = 2**62


class UnusableToken(Exception):
    """Not a token of ours for this user."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A message that the reader has seen, and where it stood."""

    timestamp_ms: int
    message_id: str
    shard: int
    offset: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader has seen: shard → last offset."""

    offsets: Mapping[int, int] = field(default_factory=dict)
    witness: Witness | None = None

    def with_messages(self, messages: Sequence[Message]) -> "Seen":
        """This, and `messages` seen too."""
        offsets = dict(self.offsets)
        for message in messages:
            offsets[message.shard] = max(message.offset, offsets.get(message.shard, -1))
        return Seen(offsets, _newest(self.witness, messages))


def _newest(witness: Witness | None, messages: Sequence[Message]) -> Witness | None:
    candidates = [Witness(one.timestamp_ms, one.message_id, one.shard, one.offset) for one in messages]
    if witness is not None:
        candidates.append(witness)
    return max(candidates, key=lambda one: (one.timestamp_ms, one.message_id), default=None)


def encode_sync_token(seen: Seen, app: str, user: str) -> str:
    """The token of `user` for what he has seen."""
    witness = seen.witness
    facts = [
        sorted(seen.offsets.items()),
        None if witness is None else [witness.timestamp_ms, witness.message_id, witness.shard, witness.offset],
    ]
    raw = orjson.dumps(facts)
    return f"{_VERSION}.{encode_opaque(_checksum(raw, app, user) + raw)}"


def decode_sync_token(token: str, app: str, user: str) -> Seen:
    """What the bearer of `token` has seen; raises UnusableToken if it is not one that we gave to this user."""
    version, _, encoded = token.partition(".")
    if version != _VERSION or len(encoded) > _MAX_LENGTH:
        raise UnusableToken
    try:
        sealed = decode_opaque(encoded)
    except ValueError as error:
        raise UnusableToken from error
    checksum, raw = sealed[:_CHECKSUM_BYTES], sealed[_CHECKSUM_BYTES:]
    if checksum != _checksum(raw, app, user):
        raise UnusableToken
    return _read(raw)


def _read(raw: bytes) -> Seen:
    try:
        offsets, witness = orjson.loads(raw)
        return Seen(
            {_bounded(shard, _MAX_SHARD): _bounded(offset, _MAX_OFFSET) for shard, offset in offsets},
            None if witness is None else _witness(*witness),
        )
    except (ValueError, TypeError) as error:
        raise UnusableToken from error


def _witness(timestamp_ms: object, message_id: object, shard: object, offset: object) -> Witness:
    if not isinstance(message_id, str):
        raise UnusableToken
    return Witness(
        _bounded(timestamp_ms, _MAX_OFFSET), message_id, _bounded(shard, _MAX_SHARD), _bounded(offset, _MAX_OFFSET)
    )


def _bounded(number: object, most: int) -> int:
    if type(number) is not int or not 0 <= number <= most:
        raise UnusableToken
    return number


def _checksum(raw: bytes, app: str, user: str) -> bytes:
    # No id contains a dot, so app and user cannot run together.
    return sha256(f"{app}.{user}\n".encode() + raw).digest()[:_CHECKSUM_BYTES]
