"""What users and administrators set, written to and read from MongoDB."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from observer.store.base import BanEntry, Peer
from observer.store.mongo_documents import Document, key, keys_below
from observer.store.mongo_look_up import ban_of, privacy_of
from observer.store.mongo_schema import Collections
from policies.base import Ban, Privacy

_CONTACT_FIELDS = ("contact_since_ms", "written_since_ms")


async def set_blocked(collections: Collections, app: str, owner: str, peer: str, is_blocked: bool, now_ms: int) -> None:
    """Block or unblock a peer; one who is blocked already keeps the time of his blocking."""
    if is_blocked:
        await _update_peer(collections, app, owner, peer, {"$min": {"blocked_since_ms": now_ms}})
    else:
        await collections.peers.update_one({"_id": key(app, owner, peer)}, {"$unset": {"blocked_since_ms": ""}})


async def set_contact(collections: Collections, app: str, owner: str, peer: str, is_contact: bool, now_ms: int) -> None:
    """Name or un-name a contact; one who is named already keeps the time of his naming."""
    if is_contact:
        await _update_peer(collections, app, owner, peer, {"$min": {"contact_since_ms": now_ms}})
    else:
        await _update_peer(
            collections,
            app,
            owner,
            peer,
            {"$unset": {"contact_since_ms": "", "written_since_ms": ""}, "$max": {"forgotten_ms": now_ms}},
        )


async def _update_peer(collections: Collections, app: str, owner: str, peer: str, update: Document) -> None:
    named = {"$setOnInsert": {"owner": key(app, owner), "peer": peer}}
    await collections.peers.update_one({"_id": key(app, owner, peer)}, update | named, upsert=True)


async def blocked(collections: Collections, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
    """Whom an owner has blocked."""
    found = collections.peers.find(
        {"_id": keys_below(key(app, owner), after), "blocked_since_ms": {"$exists": True}}, sort={"_id": 1}
    )
    return [Peer(document["peer"], document["blocked_since_ms"]) for document in await found.limit(limit).to_list()]


async def contacts(collections: Collections, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
    """Whom an owner has named, or has written to: since when, whichever came first."""
    either: Sequence[Document] = [{"contact_since_ms": {"$exists": True}}, {"written_since_ms": {"$exists": True}}]
    found = collections.peers.find({"_id": keys_below(key(app, owner), after), "$or": either}, sort={"_id": 1})
    return [
        Peer(document["peer"], min(document[name] for name in _CONTACT_FIELDS if name in document))
        for document in await found.limit(limit).to_list()
    ]


async def privacy(collections: Collections, app: str, user: str) -> Privacy | None:
    """A user's privacy settings."""
    document = await collections.settings.find_one({"_id": key("privacy", app, user)})
    return privacy_of(document) if document else None


async def set_privacy(collections: Collections, app: str, user: str, privacy: Privacy) -> None:
    """Keep a user's privacy settings."""
    await _keep(collections, key("privacy", app, user), {"who_may_write": privacy.who_may_write.value})


async def _keep(collections: Collections, _id: str, values: Document) -> None:
    await collections.settings.replace_one({"_id": _id}, values, upsert=True)


async def set_ban(collections: Collections, app: str, user: str, ban: Ban, *, by: str, now_ms: int) -> None:
    """Ban a user, in place of an earlier ban."""
    values = {"until_ms": ban.until_ms, "reason": ban.reason, "by": by, "since_ms": now_ms}
    await _keep(collections, key("ban", app, user), values)


async def lift_ban(collections: Collections, app: str, user: str) -> bool:
    """End a ban; whether there was one."""
    return (await collections.settings.delete_one({"_id": key("ban", app, user)})).deleted_count > 0


async def ban(collections: Collections, app: str, user: str) -> Ban | None:
    """A user's ban."""
    document = await collections.settings.find_one({"_id": key("ban", app, user)})
    return ban_of(document) if document else None


async def bans(collections: Collections, app: str, *, after: str, limit: int) -> Sequence[BanEntry]:
    """The bans of an app."""
    found = collections.settings.find({"_id": keys_below(key("ban", app), after)}, sort={"_id": 1})
    return [
        BanEntry(document["_id"].rpartition("/")[2], ban_of(document), document["by"], document["since_ms"])
        for document in await found.limit(limit).to_list()
    ]


async def profile(collections: Collections, app: str, user: str) -> Mapping[str, Any] | None:
    """A user's public profile."""
    document = await collections.settings.find_one({"_id": key("profile", app, user)})
    return orjson.loads(document["profile"]) if document else None


async def set_profile(collections: Collections, app: str, user: str, profile: Mapping[str, Any]) -> None:
    """Keep a user's public profile; as text, since it is foreign and its keys may be none that a document can have."""
    await _keep(collections, key("profile", app, user), {"profile": orjson.dumps(profile).decode()})
