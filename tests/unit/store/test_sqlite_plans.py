"""No statement of the SQLite store reads a whole table or index: its cost does not grow with what is stored."""

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path

import pytest

from observer.store import sqlite_look_up, sqlite_read, sqlite_save, sqlite_settings
from observer.store.base import UNREAD_LIMIT, Position, Query
from observer.store.sqlite_file import connect_writer
from observer.store.sqlite_schema import migrate
from policies.base import Ban, Privacy, WhoMayWrite
from tests.contract.messages import APP, NOW_MS, make_message

BOB = {"app": APP, "owner": "bob"}
PAIR = {**BOB, "peer": "alice"}
HERE = Position(NOW_MS, "x")
OPERATIONS: dict[str, Callable[[sqlite3.Connection], object]] = {
    "save": lambda c: sqlite_save.save(c, [make_message(offset=9)]),
    "save again": lambda c: sqlite_save.save(c, [make_message(offset=0), make_message(offset=8)]),
    "mark_read": lambda c: sqlite_save.mark_read(c, **PAIR, up_to=HERE),
    "shard_position": lambda c: sqlite_look_up.shard_position(c, 0),
    "look_up": lambda c: sqlite_look_up.look_up(
        c,
        Query(
            message_ids=[make_message().message_id, "x", "y"],
            senders=[(APP, "alice"), (APP, "eve")],
            recipients=[(APP, "bob")],
            relations=[(APP, "bob", "alice")],
        ),
    ),
    "find_repeats": lambda c: sqlite_look_up.find_repeats(c, 0, ["f"], 100),
    "timeline": lambda c: sqlite_read.timeline(c, **BOB, after={0: 0, 3: 1}, limit=5),
    "heads": lambda c: sqlite_read.heads(c, **BOB),
    "history": lambda c: sqlite_read.history(c, **PAIR, before=None, after=None, limit=5),
    "history before": lambda c: sqlite_read.history(c, **PAIR, before=HERE, after=None, limit=5),
    "history after": lambda c: sqlite_read.history(c, **PAIR, before=None, after=HERE, limit=5),
    "find_message": lambda c: sqlite_read.find_message(c, **BOB, message_id="x"),
    "conversations": lambda c: sqlite_read.conversations(c, **BOB, before=None, limit=5),
    "conversations before": lambda c: sqlite_read.conversations(c, **BOB, before=HERE, limit=5),
    "conversation": lambda c: sqlite_read.conversation(c, **PAIR),
    "block": lambda c: sqlite_settings.set_blocked(c, **PAIR, is_blocked=True, now_ms=1),
    "unblock": lambda c: sqlite_settings.set_blocked(c, **PAIR, is_blocked=False, now_ms=1),
    "blocked": lambda c: sqlite_settings.blocked(c, **BOB, after="a", limit=5),
    "name_contact": lambda c: sqlite_settings.set_contact(c, **PAIR, is_contact=True, now_ms=1),
    "forget_contact": lambda c: sqlite_settings.set_contact(c, **PAIR, is_contact=False, now_ms=1),
    "contacts": lambda c: sqlite_settings.contacts(c, **BOB, after="a", limit=5),
    "privacy": lambda c: sqlite_settings.privacy(c, APP, "bob"),
    "set_privacy": lambda c: sqlite_settings.set_privacy(c, APP, "bob", Privacy(WhoMayWrite.NOBODY)),
    "profile": lambda c: sqlite_settings.profile(c, APP, "bob"),
    "set_profile": lambda c: sqlite_settings.set_profile(c, APP, "bob", {}),
    "set_ban": lambda c: sqlite_settings.set_ban(c, APP, "bob", Ban(), by="root", now_ms=1),
    "lift_ban": lambda c: sqlite_settings.lift_ban(c, APP, "bob"),
    "ban": lambda c: sqlite_settings.ban(c, APP, "bob"),
    "bans": lambda c: sqlite_settings.bans(c, APP, after="a", limit=5),
}
# What was asked for, and the few rows that a limited subquery hands on, are gone through; a table or index never.
# SQLite before 3.36 says TABLE and SUBQUERY.
GONE_THROUGH = re.compile(
    r"SCAN (TABLE )?(SUBQUERY \d+ (AS )?)?"
    r"((asked|json_each) VIRTUAL TABLE INDEX 1:|picked|\(subquery-\d+\)|\d+ CONSTANT ROWS?|CONSTANT ROW)"
)
# The merge of the four threads of a conversation, each cut to the length of a page already.
SORTS = {"history": 4, "history before": 4, "history after": 4}
THREAD = "messages_by_thread (app=? AND sender=? AND recipient=? AND sole_owner=?"
SEARCHES = {
    "history": [THREAD],
    "history before": [f"{THREAD} AND (timestamp_ms,message_id)<(?,?))"],
    "history after": [f"{THREAD} AND (timestamp_ms,message_id)>(?,?))"],
    "conversations": ["peers_by_last (app=? AND owner=?", f"{THREAD} AND (timestamp_ms,message_id)>(?,?))"],
    "conversations before": ["peers_by_last (app=? AND owner=?", "(last_ms,last_id)<(?,?))"],
    "blocked": ["peers_blocked (app=? AND owner=? AND peer>?)"],
    "contacts": ["peers_contacts (app=? AND owner=? AND peer>?)"],
    "timeline": ["PRIMARY KEY (app=? AND owner=? AND place>? AND place<?)"],
    "heads": ["PRIMARY KEY (app=? AND owner=? AND place<?)"],
    "shard_position": ["INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    "find_repeats": ["INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    "find_message": ["(message_id=?)"],
    "look_up": ["(message_id=?)", "PRIMARY KEY (app=? AND owner=? AND peer=?)", "PRIMARY KEY (app=? AND user=?)"],
}


# Filled beyond every page and limit: what grows beyond them is the cost of history itself.
FEW, MANY = UNREAD_LIMIT + 200, 4 * (UNREAD_LIMIT + 200)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A store's file with a few messages."""
    opened = connect_writer(tmp_path / "observer.db", 1.0)
    migrate(opened, "test")
    sqlite_save.save(opened, [make_message(offset=number) for number in range(3)])
    yield opened
    opened.close()


def plan_of(connection: sqlite3.Connection, statement: str) -> list[str]:
    """What SQLite says it does for a statement."""
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]


def steps_of(connection: sqlite3.Connection, name: str) -> dict[str, list[str]]:
    """The plan of each statement that an operation executes."""
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    OPERATIONS[name](connection)
    connection.set_trace_callback(None)
    assert statements
    return {statement: plan_of(connection, statement) for statement in statements}


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_statement_goes_through_a_table(connection: sqlite3.Connection, name: str) -> None:
    for statement, steps in steps_of(connection, name).items():
        assert [step for step in steps if step.startswith("SCAN") and not GONE_THROUGH.fullmatch(step)] == [], statement
        assert sum("ORDER BY" in step for step in steps) <= SORTS.get(name, 0), statement


@pytest.mark.parametrize("name", SEARCHES)
def test_what_is_read_is_what_the_index_bounds(connection: sqlite3.Connection, name: str) -> None:
    """Not merely some index: the one whose bounds leave nothing over but what is asked for."""
    searches = [step for steps in steps_of(connection, name).values() for step in steps]
    for expected in SEARCHES[name]:
        assert any(expected in step for step in searches), searches


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[sqlite3.Connection]]:
    """Two files, one with four times as much of everything."""
    with ExitStack() as stack:
        yield [stack.enter_context(filled_with(size, tmp_path_factory.mktemp("filled"))) for size in (FEW, MANY)]


@contextmanager
def filled_with(size: int, folder: Path) -> Iterator[sqlite3.Connection]:
    """A file where alice wrote to bob so many times, and so many strangers to him, he to others, others to others."""
    with closing(connect_writer(folder / "observer.db", 1.0)) as opened:
        migrate(opened, "test")
        opened.execute("BEGIN")
        for shard, (sender, recipient) in enumerate([("alice", "bob"), ("u{}", "bob"), ("bob", "v{}"), ("w{}", "x{}")]):
            messages = [
                make_message(sender.format(n), recipient.format(n), shard=shard + 1, offset=n) for n in range(size)
            ]
            sqlite_save.save(opened, messages)
        for user in (f"u{n}" for n in range(0, size, 10)):
            sqlite_settings.set_blocked(opened, APP, "bob", user, True, 1)
            sqlite_settings.set_ban(opened, APP, user, Ban(), by="root", now_ms=1)
            sqlite_settings.set_privacy(opened, APP, user, Privacy(WhoMayWrite.NOBODY))
        opened.execute("COMMIT")
        yield opened


def work_of(connection: sqlite3.Connection, operation: Callable[[sqlite3.Connection], object]) -> int:
    """How many instructions of SQLite's own machine an operation takes: as good as the rows that it looks at."""
    instructions = count()
    connection.set_progress_handler(lambda: next(instructions) < 0, 1)
    operation(connection)
    connection.set_progress_handler(None, 1)
    return next(instructions)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_does_no_more_work_when_more_is_stored(filled: Sequence[sqlite3.Connection], name: str) -> None:
    """Design: cost must not grow with history, users or conversations."""
    few, many = (work_of(connection, OPERATIONS[name]) for connection in filled)
    assert many <= few * 1.05 + 10


def test_work_that_grows_would_be_noticed(filled: Sequence[sqlite3.Connection]) -> None:
    few, many = (
        work_of(one, lambda c: c.execute("SELECT max(timestamp_ms) FROM messages").fetchone()) for one in filled
    )
    assert many > few * 3


def test_a_scan_would_be_noticed(connection: sqlite3.Connection) -> None:
    """The words that this file looks for are those of the SQLite that runs it."""
    [step] = plan_of(connection, "SELECT * FROM messages WHERE fingerprint = 'x'")
    assert step.startswith("SCAN")
    assert not GONE_THROUGH.fullmatch(step)
