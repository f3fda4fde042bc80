"""What users and administrators set: true when the call returns, and of one owner in one app only."""

import pytest

from observer.errors import StoreUnavailable
from observer.store.base import BanEntry, Peer, Query, Store
from policies.base import Ban, Privacy, Relation, WhoMayWrite
from tests.contract.messages import APP, NOW_MS, make_message


async def relation(store: Store, owner: str, peer: str, app: str = APP) -> Relation:
    """The relation as the next look-up sees it."""
    found = await store.look_up(Query(relations=[(app, owner, peer)]))
    return found.relations.get((app, owner, peer), Relation())


async def test_a_block_holds_for_the_next_look_up_until_it_is_lifted(store: Store) -> None:
    await store.set_blocked(APP, "bob", "eve", True, NOW_MS)
    assert await relation(store, "bob", "eve") == Relation(is_blocked=True)
    assert await relation(store, "eve", "bob") == Relation()
    await store.set_blocked(APP, "bob", "eve", False, NOW_MS + 1)
    assert await relation(store, "bob", "eve") == Relation()


async def test_blocking_twice_is_blocking_once(store: Store) -> None:
    for number in range(2):
        await store.set_blocked(APP, "bob", "eve", True, NOW_MS + number)
    assert await store.blocked(APP, "bob", after="", limit=10) == [Peer("eve", NOW_MS)]
    for _ in range(2):
        await store.set_blocked(APP, "bob", "eve", False, NOW_MS)
    assert await store.blocked(APP, "bob", after="", limit=10) == []


async def test_block_and_contact_lists_come_by_user_id_in_pages(store: Store) -> None:
    users = ["Zoe", "_x", "a-1", "adam", "b", "zz"]
    for number, user in enumerate(reversed(users)):
        await store.set_blocked(APP, "bob", user, True, NOW_MS + number)
        await store.set_contact(APP, "bob", user, True, NOW_MS + number)
    await store.set_blocked(APP, "bobby", "carol", True, NOW_MS)
    await store.set_contact(APP, "bob-2", "carol", True, NOW_MS)
    for listed in (store.blocked, store.contacts):
        seen: list[str] = []
        while rows := await listed(APP, "bob", after=seen[-1] if seen else "", limit=4):
            seen += [row.user for row in rows]
        assert seen == users


async def test_contacts_are_those_named_and_those_written_to(store: Store) -> None:
    await store.save([make_message("bob", "alice", offset=0), make_message("eve", "bob", offset=1)], [])
    await store.set_contact(APP, "bob", "carol", True, NOW_MS + 7)
    await store.set_contact(APP, "bob", "alice", True, NOW_MS + 9)
    assert await store.contacts(APP, "bob", after="", limit=10) == [Peer("alice", NOW_MS), Peer("carol", NOW_MS + 7)]
    assert (await relation(store, "bob", "carol")).is_contact
    assert not (await relation(store, "bob", "eve")).is_contact


async def test_forgetting_a_contact_forgets_that_one_wrote_to_him(store: Store) -> None:
    """And only that: the block and the conversation stay as they were."""
    await store.save([make_message("bob", "alice")], [])
    await store.set_blocked(APP, "bob", "alice", True, NOW_MS)
    await store.set_contact(APP, "bob", "alice", False, NOW_MS + 1)
    assert await relation(store, "bob", "alice") == Relation(is_blocked=True)
    assert await store.contacts(APP, "bob", after="", limit=10) == []
    assert await store.conversation(APP, "bob", "alice") is not None
    await store.save([make_message("bob", "alice", offset=1, timestamp_ms=NOW_MS + 5)], [])
    assert (await relation(store, "bob", "alice")).is_contact


async def test_privacy_is_what_was_set_and_nothing_before(store: Store) -> None:
    assert await store.privacy(APP, "bob") is None
    assert (await store.look_up(Query(recipients=[(APP, "bob")]))).privacy == {}
    for who in WhoMayWrite:
        await store.set_privacy(APP, "bob", Privacy(who))
        assert await store.privacy(APP, "bob") == Privacy(who)
        found = await store.look_up(Query(recipients=[(APP, "bob"), (APP, "alice")]))
        assert found.privacy == {(APP, "bob"): Privacy(who)}


async def test_a_ban_is_seen_expired_or_not_until_it_is_lifted(store: Store) -> None:
    assert await store.ban(APP, "eve") is None
    await store.set_ban(APP, "eve", Ban(until_ms=1, reason="spam"), by="root", now_ms=NOW_MS)
    assert await store.ban(APP, "eve") == Ban(1, "spam")
    await store.set_ban(APP, "eve", Ban(), by="admin", now_ms=NOW_MS + 1)
    found = await store.look_up(Query(senders=[(APP, "eve"), (APP, "bob"), ("other", "eve")]))
    assert found.bans == {(APP, "eve"): Ban()}
    assert await store.bans(APP, after="", limit=5) == [BanEntry("eve", Ban(), "admin", NOW_MS + 1)]
    assert await store.lift_ban(APP, "eve") is True
    assert await store.lift_ban(APP, "eve") is False
    assert await store.ban(APP, "eve") is None


async def test_bans_come_by_user_id_in_pages(store: Store) -> None:
    for user in ("c", "a", "b", "d"):
        await store.set_ban(APP, user, Ban(), by="root", now_ms=NOW_MS)
    await store.set_ban(APP + "-2", "z", Ban(), by="root", now_ms=NOW_MS)
    first = await store.bans(APP, after="", limit=3)
    rest = await store.bans(APP, after=first[-1].user, limit=3)
    assert [entry.user for entry in [*first, *rest]] == ["a", "b", "c", "d"]


async def test_a_profile_is_kept_beside_privacy(store: Store) -> None:
    profile = {"name": "Bób", "$set": {"a.b": [1, None, True]}, "": {}}
    assert await store.profile(APP, "bob") is None
    await store.set_privacy(APP, "bob", Privacy(WhoMayWrite.NOBODY))
    assert await store.profile(APP, "bob") is None
    await store.set_profile(APP, "bob", profile)
    assert await store.profile(APP, "bob") == profile
    assert await store.privacy(APP, "bob") == Privacy(WhoMayWrite.NOBODY)
    assert await store.privacy("other", "bob") is None


async def test_another_app_with_the_same_users_is_another_world(store: Store) -> None:
    """No read of one app shows anything of the other."""
    await store.save([make_message(offset=0)], [])
    await store.set_blocked(APP, "bob", "alice", True, NOW_MS)
    await store.set_contact(APP, "bob", "alice", True, NOW_MS)
    await store.set_privacy(APP, "bob", Privacy(WhoMayWrite.NOBODY))
    await store.set_profile(APP, "bob", {"name": "Bob"})
    await store.set_ban(APP, "bob", Ban(), by="root", now_ms=NOW_MS)
    for app in (APP + "2", APP[:-1]):
        assert (await store.timeline(app, "bob", {}, 9)).messages == ()
        assert await store.heads(app, "bob") == {}
        assert (await store.history(app, "bob", "alice", before=None, after=None, limit=9)).messages == ()
        assert await store.conversations(app, "bob", before=None, limit=9) == []
        assert await store.conversation(app, "bob", "alice") is None
        assert await store.blocked(app, "bob", after="", limit=9) == []
        assert await store.contacts(app, "bob", after="", limit=9) == []
        assert await store.privacy(app, "bob") is None
        assert await store.profile(app, "bob") is None
        assert await store.ban(app, "bob") is None
        assert await store.bans(app, after="", limit=9) == []
        assert await store.lift_ban(app, "bob") is False
        assert await relation(store, "bob", "alice", app) == Relation()
    twin = make_message(app="other", offset=1)
    await store.save([twin], [])
    assert (await store.timeline("other", "bob", {}, 9)).messages == (twin,)
    row = await store.conversation("other", "bob", "alice")
    assert row is not None
    assert (row.last_message, row.unread) == (twin, 1)


async def test_a_query_for_nothing_finds_nothing(store: Store) -> None:
    found = await store.look_up(Query())
    assert (dict(found.messages), dict(found.bans), dict(found.privacy), dict(found.relations)) == ({}, {}, {}, {})


async def test_a_store_that_answers_says_so_and_a_closed_one_does_not(store: Store) -> None:
    await store.ping()
    await store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.ping()
    await store.close()
