"""The store port: everything the program asks of a database, and the records that come back.

Two adapters, `sqlite.py` and `mongo.py`; `tests/contract/` runs one suite over both.
Every method may raise StoreUnavailable (try again later). Times are milliseconds since 1970, UTC.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from observer.message import Message
from policies.base import Ban, Privacy, Relation

UNREAD_LIMIT = 1000
"""Unread counts stop here: beyond it a person sees «1000+» and a count would cost more than it tells."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A point in a conversation's history: its order is (timestamp, message_id)."""

    timestamp_ms: int
    message_id: str


@dataclass(frozen=True, slots=True)
class ShardPosition:
    """Where a shard's only writer goes on: the next free offset, and the last timestamp that it gave."""

    next_offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Query:
    """What one batch wants to know."""

    message_ids: Collection[str] = ()
    senders: Collection[tuple[str, str]] = ()
    """(app, user) whose bans are wanted."""
    recipients: Collection[tuple[str, str]] = ()
    """(app, user) whose privacy is wanted."""
    relations: Collection[tuple[str, str, str]] = ()
    """(app, owner, peer) whose relation is wanted."""


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a Query; what is absent from a mapping is at its default."""

    messages: Mapping[str, Message] = field(default_factory=dict)
    """Those of the asked ids that are stored already."""
    bans: Mapping[tuple[str, str], Ban] = field(default_factory=dict)
    """Bans as stored, expired ones too: the policy knows the time."""
    privacy: Mapping[tuple[str, str], Privacy] = field(default_factory=dict)
    """Of those who have chosen."""
    relations: Mapping[tuple[str, str, str], Relation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a timeline or history, in order. `has_more`: ask again from the last one."""

    messages: tuple[Message, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """One row of a user's conversation list."""

    app: str
    owner: str
    peer: str
    last_message: Message
    unread: int
    """Messages from the peer behind the read marker; UNREAD_LIMIT means that many or more."""
    read_up_to: Position | None


@dataclass(frozen=True, slots=True)
class Peer:
    """One entry of a block or contact list."""

    user: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class BanEntry:
    """One ban as an administrator sees it."""

    user: str
    ban: Ban
    by: str
    since_ms: int


class MessageStore(Protocol):
    """What the pipeline needs."""

    async def ping(self) -> None:
        """Return when the store answers and can write; raise StoreUnavailable if not."""
        ...

    async def shard_position(self, shard: int) -> ShardPosition:
        """Where the shard's writer goes on; (0, 0) for a shard that holds nothing."""
        ...

    async def look_up(self, query: Query) -> Found:
        """Everything a batch wants to know, in one round trip (or one set of concurrent ones)."""
        ...

    async def find_repeats(self, shard: int, fingerprints: Collection[str], among_last: int) -> Sequence[Message]:
        """Those of the last `among_last` messages of the shard that carry one of these fingerprints, oldest first."""
        ...

    async def save(self, messages: Sequence[Message], known: Sequence[Message]) -> None:
        """Store `messages`, then move the conversations of `messages` and `known`.

        They come shard by shard, those of each in the order of their offsets, and are stored in that order.

        `known` are stored already (a repeat): only their conversations are made sure of, since a crash may have come
        between the two writes. Safe to repeat. When it returns, everything is on disk (MongoDB: on the majority).
        A conversation moves forward only: the newer (timestamp, message_id) wins. The sender becomes the owner's
        contact-by-writing: `Relation.is_contact` of (sender, recipient) is true from then on.

        Raises ShardLost when one of the offsets is taken by another message, and StoreUnavailable when one of the
        messages was stored elsewhere, or otherwise, since it was looked up: look up again.
        """
        ...


class Store(MessageStore, Protocol):
    """What the whole program needs."""

    async def open(self) -> None:
        """Connect, bring the schema to this version, make sure of every index.

        Raises ConfigError for what waiting cannot mend: a newer schema, a file that another process holds.
        """
        ...

    async def close(self) -> None: ...

    # Reading what is one user's. Every method names the owner: nothing is returned that is not in his timeline.

    async def timeline(self, app: str, owner: str, after: Mapping[int, int], limit: int) -> Page:
        """What came into `owner`'s timeline behind these offsets (shard → last offset seen), by shard and offset.

        A shard that `after` does not name is read from its beginning.
        """
        ...

    async def heads(self, app: str, owner: str) -> Mapping[int, int]:
        """shard → highest offset in `owner`'s timeline: where a client that wants nothing old starts."""
        ...

    async def history(
        self, app: str, owner: str, peer: str, *, before: Position | None, after: Position | None, limit: int
    ) -> Page:
        """A piece of one conversation, oldest first in the page.

        `before` alone: the last `limit` older than it. `after` alone: the first `limit` newer. Neither: the newest.
        """
        ...

    async def find_message(self, app: str, owner: str, message_id: str) -> Message | None:
        """The message if it is in `owner`'s timeline."""
        ...

    async def conversations(
        self, app: str, owner: str, *, before: Position | None, limit: int
    ) -> Sequence[Conversation]:
        """`owner`'s conversations by last message, newest first; `before`: the last message of the previous page."""
        ...

    async def conversation(self, app: str, owner: str, peer: str) -> Conversation | None: ...

    async def mark_read(self, app: str, owner: str, peer: str, up_to: Position) -> None:
        """Move the read marker forward to `up_to`; an older position changes nothing."""
        ...

    # Settings. True when it returns; the next look_up sees it.

    async def set_blocked(self, app: str, owner: str, peer: str, is_blocked: bool, now_ms: int) -> None: ...

    async def blocked(self, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
        """Whom `owner` has blocked, by user id, behind `after` ("" from the start)."""
        ...

    async def set_contact(self, app: str, owner: str, peer: str, is_contact: bool, now_ms: int) -> None:
        """Name or un-name a contact. Un-naming also forgets that `owner` wrote to him."""
        ...

    async def contacts(self, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
        """Whom `owner` has named as contacts or has written to, by user id, behind `after`."""
        ...

    async def privacy(self, app: str, user: str) -> Privacy | None:
        """What the user has chosen, or None."""
        ...

    async def set_privacy(self, app: str, user: str, privacy: Privacy) -> None: ...

    async def set_ban(self, app: str, user: str, ban: Ban, *, by: str, now_ms: int) -> None: ...

    async def lift_ban(self, app: str, user: str) -> bool:
        """Whether there was one."""
        ...

    async def ban(self, app: str, user: str) -> Ban | None: ...

    async def bans(self, app: str, *, after: str, limit: int) -> Sequence[BanEntry]:
        """Bans of the app, by user id, behind `after`."""
        ...

    async def profile(self, app: str, user: str) -> Mapping[str, Any] | None:
        """The public profile that the embedding app's identity last carried, or None."""
        ...

    async def set_profile(self, app: str, user: str, profile: Mapping[str, Any]) -> None: ...
