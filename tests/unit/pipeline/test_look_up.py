"""What is found out about a batch, over a real SQLite store."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from observer.message import Message, Submission
from observer.pipeline.look_up import REPEATS_WITHIN_MS, Asked, look_up
from observer.pipeline.rates import RateLedger
from observer.store.sqlite import SqliteStore
from policies.base import Fact

LAST_MS = 1_000_000
"""When the last writer stored his last message."""
OK = Submission("an id by chance", "demo", "alice", "bob", {"text": "ok"}, 13, is_unsure=True, fingerprint="ok")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "observer.db")
    await opened.open()
    yield opened
    await opened.close()


def stored(offset: int, timestamp_ms: int, fingerprint: str = "ok") -> Message:
    return Message(
        message_id=f"message {offset}",
        app="demo",
        sender="alice",
        recipient="bob",
        body=b"{}",
        timestamp_ms=timestamp_ms,
        owners=("alice", "bob"),
        shard=0,
        offset=offset,
        fingerprint=fingerprint,
    )


async def repeats(store: SqliteStore, *submissions: Submission) -> list[str | None]:
    """Which stored messages these repeat."""
    asked = [Asked(0, submissions, LAST_MS)]
    looked_up = await look_up(store, RateLedger(1, 1), asked, needs=frozenset(), now_ms=LAST_MS + 60_000)
    found = [looked_up.known(one) for one in submissions]
    return [None if one is None else one.message_id for one in found]


async def test_what_the_last_writer_stored_and_did_not_settle_is_known_again(store: SqliteStore) -> None:
    await store.save([stored(0, LAST_MS, "other"), stored(1, LAST_MS)], [])
    assert await repeats(store, OK) == ["message 1"]


async def test_an_equal_text_from_long_before_is_another_message(store: SqliteStore) -> None:
    """It was settled, so the broker cannot deliver it again: what comes now was never stored."""
    await store.save([stored(0, LAST_MS - REPEATS_WITHIN_MS - 1), stored(1, LAST_MS, "other")], [])
    assert await repeats(store, OK) == [None]


async def test_what_the_broker_delivers_for_the_first_time_repeats_nothing(store: SqliteStore) -> None:
    await store.save([stored(0, LAST_MS)], [])
    assert await repeats(store, replace(OK, is_unsure=False)) == [None]


async def test_a_text_sent_twice_and_stored_once_is_stored_again(store: SqliteStore) -> None:
    await store.save([stored(0, LAST_MS)], [])
    assert await repeats(store, OK, replace(OK, message_id="another id by chance")) == ["message 0", None]


async def test_a_sender_is_charged_where_a_policy_reads_it_and_for_what_is_not_stored_yet(store: SqliteStore) -> None:
    """What was stored was charged when it was judged; it comes again for its copies."""
    await store.save([stored(0, LAST_MS)], [])
    asked = [Asked(0, [replace(OK, message_id=name) for name in ("message 0", "new", "newer")], LAST_MS)]
    ledger = RateLedger(1, 0.001)
    unread = await look_up(store, ledger, asked, needs=frozenset(), now_ms=LAST_MS)
    read = await look_up(store, ledger, asked, needs=frozenset({Fact.RATE}), now_ms=LAST_MS)

    assert unread.allowances == {}
    assert {name: allowance.is_allowed for name, allowance in read.allowances.items()} == {"new": True, "newer": False}
