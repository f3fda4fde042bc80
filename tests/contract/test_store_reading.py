"""Reading what is one user's: complete, in order, resumable, and never what is somebody else's."""

import pytest

from observer.message import Message
from observer.store.base import UNREAD_LIMIT, Page, Position, Store
from tests.contract.messages import APP, NOW_MS, make_message, offsets


def position(message: Message) -> Position:
    """Where a message stands in its conversation."""
    return Position(message.timestamp_ms, message.message_id)


async def read_on(store: Store, owner: str, after: dict[int, int], limit: int) -> list[Message]:
    """A whole timeline, page by page, as a client reads it."""
    found: list[Message] = []
    while True:
        page = await store.timeline(APP, owner, after, limit)
        assert len(page.messages) == limit or not page.has_more
        found += page.messages
        for message in page.messages:
            after[message.shard] = message.offset
        if not page.has_more:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_a_timeline_read_in_pages_is_complete_and_in_order(store: Store, limit: int) -> None:
    """By shard and offset, whatever the page size: a page may end within a shard and goes on there."""
    everything = [
        make_message("alice" if number % 3 else "dave", "bob" if number % 2 else "carol", shard=shard, offset=number)
        for shard in (0, 2, 5)
        for number in range(6)
    ]
    for shard in (5, 0, 2):
        await store.save([message for message in everything if message.shard == shard], [])
    assert await read_on(store, "bob", {}, limit) == [message for message in everything if "bob" in message.owners]
    assert await read_on(store, "carol", {0: 3, 5: 0}, limit) == [
        message
        for message in everything
        if "carol" in message.owners and message.offset > {0: 3, 2: -1, 5: 0}[message.shard]
    ]


async def test_a_timeline_goes_on_where_the_reader_stopped(store: Store) -> None:
    await store.save([make_message(offset=number) for number in range(3)], [])
    assert await store.timeline(APP, "bob", {0: 2}, 10) == Page((), has_more=False)
    await store.save([make_message(offset=3)], [])
    assert offsets((await store.timeline(APP, "bob", {0: 2}, 10)).messages) == [3]


async def test_a_position_that_nobody_can_have_seen_breaks_nothing(store: Store) -> None:
    """What a client says it has seen is foreign input."""
    await store.save([make_message(offset=0), make_message(offset=1)], [])
    beyond = {0: 2**80, 1: -(2**80), 2**40: 3, -7: 1, 2**22: 5}
    assert (await store.timeline(APP, "bob", beyond, 10)).messages == ()
    assert offsets((await store.timeline(APP, "bob", {0: -9}, 10)).messages) == [0, 1]
    for bound in (Position(2**70, "x"), Position(-(2**70), "x")):
        await store.history(APP, "bob", "alice", before=bound, after=None, limit=5)
        await store.mark_read(APP, "bob", "alice", bound)


async def test_heads_tell_the_highest_offset_of_each_shard(store: Store) -> None:
    for shard in (0, 3):
        batch = [make_message(offset=number, shard=shard) for number in range(2 + shard)]
        await store.save([*batch, make_message("eve", "dave", shard=shard, offset=9)], [])
    assert await store.heads(APP, "bob") == {0: 1, 3: 4}
    assert await store.heads(APP, "dave") == {0: 9, 3: 9}
    assert await store.heads(APP, "nobody") == {}


async def given_history(store: Store) -> list[Message]:
    """Ten messages of alice and bob, both directions, two of them in the same millisecond; oldest first."""
    both = [
        make_message(*pair, shard=shard, offset=number, timestamp_ms=NOW_MS + 2 * number + (shard if number < 4 else 0))
        for shard, pair in enumerate((("alice", "bob"), ("bob", "alice")))
        for number in range(5)
    ]
    for shard in (1, 0):
        await store.save([message for message in both if message.shard == shard], [])
    return sorted(both, key=position)


@pytest.mark.parametrize("owner", ["alice", "bob"])
@pytest.mark.parametrize("limit", [1, 3, 4, 20])
async def test_history_is_the_same_read_backwards_and_forwards(store: Store, owner: str, limit: int) -> None:
    expected = await given_history(store)
    peer = {"alice": "bob", "bob": "alice"}[owner]
    page = await store.history(APP, owner, peer, before=None, after=None, limit=limit)
    backwards = list(page.messages)
    while page.has_more:
        assert len(page.messages) == limit
        page = await store.history(APP, owner, peer, before=position(backwards[0]), after=None, limit=limit)
        backwards = [*page.messages, *backwards]
    assert backwards == expected
    forwards = [expected[0]]
    has_more = True
    while has_more:
        page = await store.history(APP, owner, peer, before=None, after=position(forwards[-1]), limit=limit)
        forwards += page.messages
        has_more = page.has_more
    assert forwards == expected


async def test_history_without_a_bound_is_the_newest_piece_oldest_first(store: Store) -> None:
    expected = await given_history(store)
    page = await store.history(APP, "bob", "alice", before=None, after=None, limit=4)
    assert page == Page(tuple(expected[-4:]), has_more=True)


async def test_a_message_that_the_recipient_may_not_see_is_in_no_view_of_his(store: Store) -> None:
    """A blocked sender's message is his own alone: he sees it as sent, and nothing of the recipient's tells of it."""
    shown = make_message("alice", "bob", offset=0)
    hidden = make_message("alice", "bob", offset=1, owners=("alice",))
    await store.save([shown, hidden], [])
    assert (await store.timeline(APP, "bob", {}, 10)).messages == (shown,)
    assert await store.heads(APP, "bob") == {0: 0}
    assert (await store.history(APP, "bob", "alice", before=None, after=None, limit=10)).messages == (shown,)
    assert await store.find_message(APP, "bob", hidden.message_id) is None
    [row] = await store.conversations(APP, "bob", before=None, limit=10)
    assert row == await store.conversation(APP, "bob", "alice")
    assert (row.last_message, row.unread) == (shown, 1)

    assert (await store.timeline(APP, "alice", {}, 10)).messages == (shown, hidden)
    assert await store.heads(APP, "alice") == {0: 1}
    assert (await store.history(APP, "alice", "bob", before=None, after=None, limit=10)).messages == (shown, hidden)
    assert await store.find_message(APP, "alice", hidden.message_id) == hidden
    own = await store.conversation(APP, "alice", "bob")
    assert own is not None
    assert (own.last_message, own.unread) == (hidden, 0)


async def test_a_first_message_that_is_hidden_makes_no_conversation(store: Store) -> None:
    await store.save([make_message("alice", "bob", owners=("alice",))], [])
    assert await store.conversations(APP, "bob", before=None, limit=10) == []
    assert await store.conversation(APP, "bob", "alice") is None


async def test_settings_about_a_stranger_make_no_conversation(store: Store) -> None:
    await store.set_blocked(APP, "bob", "eve", True, NOW_MS)
    await store.set_contact(APP, "bob", "eve", True, NOW_MS)
    await store.mark_read(APP, "bob", "eve", Position(NOW_MS, "x"))
    assert await store.conversations(APP, "bob", before=None, limit=10) == []
    assert await store.conversation(APP, "bob", "eve") is None


async def test_conversations_come_newest_first_in_pages(store: Store) -> None:
    peers = ["carol", "alice", "dave", "eve", "frank"]
    messages = [
        make_message(peer, "bob", offset=n, timestamp_ms=NOW_MS + n // 2, message_id=f"m{n}")
        for n, peer in enumerate(peers)
    ]
    await store.save(messages, [])
    listed: list[str] = []
    before = None
    while rows := await store.conversations(APP, "bob", before=before, limit=2):
        listed += [row.peer for row in rows]
        before = position(rows[-1].last_message)
    assert listed == peers[::-1]


async def test_unread_counts_what_the_peer_wrote_behind_the_read_marker(store: Store) -> None:
    messages = [make_message("alice" if n % 2 else "bob", "bob" if n % 2 else "alice", offset=n) for n in range(8)]
    await store.save(messages, [])

    async def unread() -> tuple[int, Position | None]:
        row = await store.conversation(APP, "bob", "alice")
        assert row is not None
        return row.unread, row.read_up_to

    assert await unread() == (4, None)
    await store.mark_read(APP, "bob", "alice", position(messages[3]))
    assert await unread() == (2, position(messages[3]))
    await store.mark_read(APP, "bob", "alice", position(messages[1]))
    assert await unread() == (2, position(messages[3])), "a marker moves forward only"
    await store.mark_read(APP, "bob", "alice", position(messages[7]))
    assert await unread() == (0, position(messages[7]))
    await store.save([make_message("alice", "bob", offset=8)], [])
    assert (await unread())[0] == 1
    other_side = await store.conversation(APP, "alice", "bob")
    assert other_side is not None
    assert (other_side.unread, other_side.read_up_to) == (4, None)


async def test_a_marker_amid_one_millisecond_goes_by_the_message_id(store: Store) -> None:
    tied = [make_message(offset=n, timestamp_ms=NOW_MS, message_id=f"m{n}") for n in range(3)]
    await store.save(tied, [])
    await store.mark_read(APP, "bob", "alice", Position(NOW_MS, "m1"))
    row = await store.conversation(APP, "bob", "alice")
    assert row is not None
    assert row.unread == 1


async def test_unread_stops_at_its_limit(store: Store) -> None:
    await store.save([make_message(offset=number) for number in range(UNREAD_LIMIT + 5)], [])
    row = await store.conversation(APP, "bob", "alice")
    assert row is not None
    assert row.unread == UNREAD_LIMIT


async def test_a_note_to_oneself_is_stored_once_and_never_unread(store: Store) -> None:
    note = make_message("alice", "alice", owners=("alice",))
    await store.save([note], [])
    assert (await store.history(APP, "alice", "alice", before=None, after=None, limit=9)).messages == (note,)
    row = await store.conversation(APP, "alice", "alice")
    assert row is not None
    assert (row.last_message, row.unread) == (note, 0)


async def test_a_message_is_found_by_its_owners_only(store: Store) -> None:
    message = make_message()
    await store.save([message], [])
    assert await store.find_message(APP, "alice", message.message_id) == message
    assert await store.find_message(APP, "bob", message.message_id) == message
    assert await store.find_message(APP, "eve", message.message_id) is None
    assert await store.find_message("other", "bob", message.message_id) is None
    assert await store.find_message(APP, "bob", "no such thing / $ .") is None
