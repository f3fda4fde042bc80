"""Saving: nothing twice, nothing lost, nobody's but the shard's one writer."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from observer.errors import ShardLost, StoreUnavailable
from observer.message import Message
from observer.store.base import Query, ShardPosition, Store
from policies.base import Relation
from tests.contract.conftest import Reopen
from tests.contract.messages import APP, NOW_MS, make_message, offsets


async def stored(store: Store, *messages: Message) -> list[Message]:
    """Those of the messages that the store knows, as it knows them."""
    found = await store.look_up(Query(message_ids=[message.message_id for message in messages]))
    return [found.messages[message.message_id] for message in messages if message.message_id in found.messages]


async def test_what_was_saved_is_found_as_it_was(store: Store) -> None:
    """Every field comes back, the body to the byte, the owners in their order."""
    messages = [
        make_message(offset=0, body=b'{"text":"\xf0\x9f\x91\x8b","a":{"b":[1,2.50,null]}}', client_message_id="c/1 +"),
        make_message("bob", "alice", offset=1, client_timestamp_ms=5, fingerprint="f1", owners=("bob",)),
        make_message("alice", "alice", offset=2, owners=("alice",), message_id="not-a-uuid"),
    ]
    await store.save(messages, [])
    assert await stored(store, *messages) == messages


async def test_what_was_saved_is_there_after_a_restart(store: Store, reopen: Reopen) -> None:
    messages = [make_message(offset=number) for number in range(3)]
    await store.save(messages, [])
    again = await reopen()
    assert await stored(again, *messages) == messages
    assert await again.shard_position(0) == ShardPosition(3, NOW_MS + 2)


async def test_an_empty_shard_begins_at_zero(store: Store) -> None:
    await store.save([make_message(shard=4, offset=7)], [])
    assert await store.shard_position(3) == ShardPosition(0, 0)
    assert await store.shard_position(4) == ShardPosition(8, NOW_MS + 7)
    assert await store.shard_position(5) == ShardPosition(0, 0)


@pytest.mark.parametrize("taken", [[0], range(16), range(17), range(257), [20], [0, 1, 300], [3, 4095, 70_000]])
async def test_a_writer_goes_on_behind_the_last_offset_whatever_is_left_out(store: Store, taken: Sequence[int]) -> None:
    await store.save([make_message(shard=2, offset=number) for number in taken] + [make_message(shard=3)], [])
    assert (await store.shard_position(2)).next_offset == taken[-1] + 1


async def test_saving_the_same_batch_again_changes_nothing(store: Store) -> None:
    """The answer to the first save may have been lost."""
    messages = [make_message(offset=number) for number in range(5)]
    await store.save(messages, [])
    before = (await store.timeline(APP, "bob", {}, 10), await store.conversation(APP, "bob", "alice"))
    await store.save(messages, [])
    assert (await store.timeline(APP, "bob", {}, 10), await store.conversation(APP, "bob", "alice")) == before
    assert offsets(before[0].messages) == [0, 1, 2, 3, 4]


async def test_a_batch_of_which_a_part_is_stored_is_completed(store: Store) -> None:
    messages = [make_message(offset=number) for number in range(40)]
    await store.save(messages[:20], [])
    await store.save(messages, [])
    assert offsets((await store.timeline(APP, "bob", {}, 100)).messages) == list(range(40))
    conversation = await store.conversation(APP, "bob", "alice")
    assert conversation is not None
    assert (conversation.last_message, conversation.unread) == (messages[-1], 40)


async def test_an_offset_that_another_message_holds_means_that_the_shard_is_lost(store: Store) -> None:
    """Two writers on one shard: the second one is stopped and nothing of its batch is seen by anybody."""
    mine = [make_message(offset=number) for number in range(3)]
    await store.save(mine, [])
    theirs = [make_message("eve", "bob", offset=number, message_id=f"other-{number}") for number in range(2, 5)]
    with pytest.raises(ShardLost, match="offset 2 of shard 0"):
        await store.save(theirs, [])
    assert await stored(store, *mine, *theirs) == mine
    assert await store.conversation(APP, "bob", "eve") is None
    assert (await store.look_up(Query(relations=[(APP, "eve", "bob")]))).relations.get(
        (APP, "eve", "bob"), Relation()
    ) == Relation()


async def test_of_two_writers_that_save_at_once_one_loses_the_shard(store: Store) -> None:
    batches = [
        [make_message(sender, "bob", offset=number, message_id=f"{sender}-{number}") for number in range(3)]
        for sender in ("alice", "carol")
    ]
    outcomes = await asyncio.gather(*(store.save(batch, []) for batch in batches), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome is not None] == [ShardLost]
    winner = batches[outcomes.index(None)]
    assert (await store.timeline(APP, "bob", {}, 10)).messages == tuple(winner)


async def test_a_message_that_another_shard_stored_since_the_look_up_is_not_stored_again(store: Store) -> None:
    """A client may reuse its id for another recipient, whose shard is another: the first one stands, and nothing of
    the second may be shown. So the batch fails, and the next look-up knows the message.
    """
    first = make_message("alice", "bob", shard=0, offset=0, message_id="same")
    second = make_message("alice", "carol", shard=1, offset=0, message_id="same")
    await store.save([first], [])
    with pytest.raises(StoreUnavailable):
        await store.save([second], [])

    assert await stored(store, first) == [first]
    assert (await store.timeline(APP, "carol", {}, 10)).messages == ()
    assert await store.conversation(APP, "carol", "alice") is None
    assert (await store.look_up(Query(message_ids={"same"}))).messages == {"same": first}


@pytest.mark.parametrize("change", [{"timestamp_ms": NOW_MS + 9}, {"owners": ("alice", "bob")}])
async def test_a_message_that_a_save_given_up_stored_after_all_is_shown_as_it_is_stored(
    store: Store, change: dict[str, Any]
) -> None:
    """A disk may stall for longer than we wait. The next try brings another time, or after a change of blocks another
    verdict: it fails, so that nothing is shown that history does not hold, and the next look-up knows the message.
    What stands behind it is not stored either: another process may have stored the first one, with a later time.
    """
    first, behind = make_message(owners=("alice",)), make_message(offset=1)
    await store.save([first], [])
    with pytest.raises(StoreUnavailable):
        await store.save([replace(first, **change), behind], [])

    assert await stored(store, first, behind) == [first]
    conversation = await store.conversation(APP, "alice", "bob")
    assert conversation is not None
    assert conversation.last_message == first
    assert await store.conversation(APP, "bob", "alice") is None


async def test_known_messages_move_their_conversations(store: Store) -> None:
    """A repeat makes sure of what a crash may have left undone; doing it again harms nothing."""
    message = make_message(timestamp_ms=NOW_MS)
    newer = make_message(offset=1)
    await store.save([message], [])
    await store.save([newer], [message])
    await store.save([], [message])
    conversation = await store.conversation(APP, "bob", "alice")
    assert conversation is not None
    assert conversation.last_message == newer


async def test_a_repeat_does_not_name_a_forgotten_contact_again(store: Store) -> None:
    message = make_message()
    await store.save([message], [])
    await store.set_contact(APP, "alice", "bob", False, NOW_MS + 60_000)
    await store.save([], [message])
    assert await store.contacts(APP, "alice", after="", limit=10) == []
    await store.save([make_message(offset=1, timestamp_ms=NOW_MS + 70_000)], [])
    assert [peer.user for peer in await store.contacts(APP, "alice", after="", limit=10)] == ["bob"]


async def test_the_newer_message_stays_the_last_one_of_a_conversation(store: Store) -> None:
    """The two directions come through different shards, in any order; of one millisecond the greater id is newer."""
    early = make_message("bob", "alice", shard=1, offset=0, timestamp_ms=NOW_MS - 5)
    tied = [make_message(offset=number, timestamp_ms=NOW_MS, message_id=f"m-{id_}") for number, id_ in enumerate("acb")]
    await store.save(tied, [])
    await store.save([early], [])
    for owner, peer in (("alice", "bob"), ("bob", "alice")):
        conversation = await store.conversation(APP, owner, peer)
        assert conversation is not None
        assert conversation.last_message.message_id == "m-c"


async def test_the_sender_has_the_recipient_for_a_contact_from_then_on(store: Store) -> None:
    await store.save([make_message("alice", "bob")], [])
    asked = [(APP, "alice", "bob"), (APP, "bob", "alice"), ("other", "alice", "bob")]
    found = (await store.look_up(Query(relations=asked))).relations
    assert [found.get(key, Relation()).is_contact for key in asked] == [True, False, False]


async def test_many_shards_and_conversations_at_once_lose_nothing_and_do_not_lock_each_other_out(store: Store) -> None:
    """Four shards write to the same twelve conversations, in any order."""
    users = ["u1", "u2", "u3", "u4"]
    chance = random.Random(7)

    async def write(shard: int) -> list[Message]:
        written = []
        for first in range(0, 120, 30):
            pairs = [chance.sample(users, 2) for _ in range(30)]
            batch = [make_message(*pair, shard=shard, offset=first + n) for n, pair in enumerate(pairs)]
            await store.save(batch, [])
            written += batch
        return written

    everything = [message for batch in await asyncio.gather(*map(write, range(4))) for message in batch]
    assert await stored(store, *everything) == everything
    for user in users:
        mine = [message for message in everything if user in message.owners]
        page = await store.timeline(APP, user, {}, 1000)
        assert list(page.messages) == sorted(mine, key=lambda message: (message.shard, message.offset))
        for conversation in await store.conversations(APP, user, before=None, limit=10):
            between = [m for m in mine if conversation.peer in m.owners]
            assert conversation.last_message == max(between, key=lambda m: (m.timestamp_ms, m.message_id))


async def test_repeats_without_an_id_are_found_among_the_last_of_the_shard(store: Store) -> None:
    prints = ["f0", None, "f2", "f0", "f4"]
    messages = [make_message(offset=number, fingerprint=text) for number, text in enumerate(prints)]
    await store.save(messages, [])
    await store.save([make_message(shard=1, fingerprint="f0")], [])
    assert offsets(await store.find_repeats(0, ["f0", "f4", "f9"], 100)) == [0, 3, 4]
    assert offsets(await store.find_repeats(0, ["f0", "f4"], 2)) == [3, 4]
    assert offsets(await store.find_repeats(0, ["f2"], 2)) == []
    assert offsets(await store.find_repeats(2, ["f0"], 100)) == []


async def test_a_large_look_up_finds_all_that_is_there_and_nothing_else(store: Store) -> None:
    messages = [make_message(f"u{number % 50}", "bob", offset=number) for number in range(1100)]
    await store.save(messages, [])
    ids = [message.message_id for message in messages] + [f"absent-{number}" for number in range(300)]
    relations = [(APP, f"u{number}", "bob") for number in range(700)]
    found = await store.look_up(Query(message_ids=ids, relations=relations))
    assert dict(found.messages) == {message.message_id: message for message in messages}
    assert {owner for (_, owner, _), relation in found.relations.items() if relation.is_contact} == {
        f"u{number}" for number in range(50)
    }
