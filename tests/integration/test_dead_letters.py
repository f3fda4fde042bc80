"""The dead-letter queue as an operator sees it, on a real broker."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from observer import topics
from observer.broker import names, wire
from observer.broker.connect import BrokerOptions
from observer.broker.dead_letters import DeadLetter, DeadLetters
from observer.broker.publisher import ConfirmingPublisher
from observer.errors import Refused
from observer.message import Publication
from tests.services.observer import RunningObserver, running_observer
from tests.services.people import connected
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker
KEY = topics.outgoing("demo", "alice", "bob")


@pytest.fixture(scope="module")
def observer(shared_broker: RunningBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningObserver]:
    """One observer for all of these tests."""
    with running_observer(shared_broker, tmp_path_factory.mktemp("observer")) as running:
        yield running


@pytest.fixture
def options(broker: RunningBroker) -> BrokerOptions:
    """How to reach the broker, with an empty dead-letter queue."""
    return broker.options


async def park(options: BrokerOptions, body: bytes, *, routing_key: str = KEY, reason: str = "bug") -> None:
    """What the observer does with a message that it gives up (broker/shard_queue.py)."""
    headers: dict[str, wire.HeaderValue] = {
        "x-observer-reason": reason,
        "x-observer-routing-key": routing_key,
        "x-observer-attempt": 5,
        "x-observer-time-ms": 1_700_000_000_000,
    }
    async with ConfirmingPublisher(options, "test", on_nack=lambda _: None, on_reconnect=lambda: None) as publisher:
        publications = [Publication(names.DEAD_ROUTING_KEY, body)]
        assert not await publisher.publish_to(names.DEAD_EXCHANGE, publications, headers)


async def read(options: BrokerOptions, limit: int = 1000) -> list[DeadLetter]:
    async with DeadLetters(options) as queue:
        letters, _ = await queue.read(limit)
        return list(letters)


async def test_a_parked_message_is_listed_with_its_history(options: BrokerOptions) -> None:
    await park(options, b'{"text":"hi"}', reason="ValueError: no")
    [letter] = await read(options)
    assert (letter.routing_key, letter.reason, letter.attempt) == (KEY, "ValueError: no", 5)
    assert (letter.body, letter.received_ms) == (b'{"text":"hi"}', 1_700_000_000_000)
    assert letter.why_not_replayable is None


async def test_looking_changes_nothing_however_often(options: BrokerOptions) -> None:
    """RabbitMQ 4 throws a message away after 20 deliveries unless its set-up says otherwise."""
    for body in (b"{}", b"[]"):
        await park(options, body)
    first = [letter.id for letter in await read(options)]
    for _ in range(30):
        again = await read(options)
    assert [letter.id for letter in again] == first
    assert len(set(first)) == 2


async def test_a_limit_reads_the_head_of_the_queue_and_tells_how_many_there_are(options: BrokerOptions) -> None:
    for number in range(5):
        await park(options, b"%d" % number)
    async with DeadLetters(options) as queue:
        letters, count = await queue.read(2)
    assert (len(letters), count) == (2, 5)
    assert len(await read(options)) == 5


async def test_a_dropped_message_is_gone_and_the_others_stay(options: BrokerOptions) -> None:
    for body in (b"a", b"b", b"c"):
        await park(options, body)
    async with DeadLetters(options) as queue:
        letters, _ = await queue.read(10)
        await queue.drop(letters[1])
    assert [letter.body for letter in await read(options)] == [b"a", b"c"]


async def test_a_message_that_can_only_die_again_is_not_replayed(options: BrokerOptions) -> None:
    await park(options, b"{}", routing_key="apps.demo.outgoing.nonsense")
    async with DeadLetters(options) as queue:
        [letter], _ = await queue.read(10)
        with pytest.raises(Refused, match="has not the shape"):
            await queue.replay(letter)
    assert len(await read(options)) == 1


async def test_a_replay_that_the_broker_does_not_confirm_leaves_the_message_where_it_is(
    options: BrokerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The observer's user may not publish to this exchange: the broker closes the channel."""
    await park(options, b"{}")
    monkeypatch.setattr(names, "TOPIC_EXCHANGE", "amq.fanout")
    async with DeadLetters(options) as queue:
        [letter], _ = await queue.read(10)
        with pytest.raises(Exception, match=r"amq\.fanout"):
            await queue.replay(letter)
    assert len(await read(options)) == 1


def command(observer: RunningObserver, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "observer", "dead-letters", *arguments],
        env=dict(observer.environment),
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
    )


def wait_for_dead_letters(observer: RunningObserver, count: int) -> list[str]:
    """The rows of the list, as soon as it has that many."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        rows = command(observer, "list").stdout.splitlines()[1:]
        if len(rows) >= count:
            return rows
    raise AssertionError(f"no {count} dead letters within a minute: {observer.log()}")


def test_a_replayed_message_goes_its_way_and_leaves_the_queue(
    options: BrokerOptions, observer: RunningObserver
) -> None:
    asyncio.run(park(options, b'{"text":"back again","type":"text"}'))
    bob = observer.person("bob")
    with connected(bob):
        [row] = command(observer, "list").stdout.splitlines()[1:]
        letter_id = row.split()[0]
        assert command(observer, "replay", letter_id).stdout == f"{letter_id} replayed\n"
        bob.wait_for_texts("back again")
    assert "dead letters: 0" in command(observer, "list").stderr


def test_replaying_what_was_stored_after_all_stores_nothing_new(
    options: BrokerOptions, observer: RunningObserver
) -> None:
    """The replay keeps the time that the message id of a client without ids is made of."""
    bob = observer.person("bob")
    with connected(bob):
        for _ in range(2):
            asyncio.run(park(options, b'{"text":"the same","type":"text"}'))
            assert command(observer, "replay", "--all").returncode == 0
        asyncio.run(park(options, b'{"text":"end","type":"text"}'))
        command(observer, "replay", "--all")
        bob.wait_for_texts("the same", "end")
    assert len({one["message_id"] for one in bob.inbox if one["text"] == "the same"}) == 1


def test_a_topic_that_kills_the_line_ends_here_readable(options: BrokerOptions, observer: RunningObserver) -> None:
    """docs/facts.md, "Topics over 255 bytes"."""
    eve = observer.person("eve")
    with connected(eve):
        eve.publish("apps/demo/outgoing/users/eve/messages/" + "x" * 300 + "/outgoing", b'{"text":"poison"}')
        [row] = wait_for_dead_letters(observer, 1)
    letter_id = row.split()[0]
    shown = command(observer, "show", letter_id)
    assert "delivery_limit" in shown.stdout
    assert "poison" not in shown.stdout
    assert "poison" in command(observer, "show", letter_id, "--body").stdout
    replayed = command(observer, "replay", letter_id)
    assert replayed.returncode == 1
    assert "cannot be replayed" in replayed.stderr
    assert command(observer, "drop", letter_id, said="n\n").returncode == 1
    assert len(wait_for_dead_letters(observer, 1)) == 1
    assert command(observer, "drop", letter_id, "--yes").returncode == 0
    assert "dead letters: 0" in command(observer, "list").stderr


def test_an_unknown_id_and_no_id_at_all_are_told(options: BrokerOptions, observer: RunningObserver) -> None:
    assert "no dead letter nope" in command(observer, "show", "nope").stderr
    finished = command(observer, "replay")
    assert finished.returncode == 2
    assert "--all" in finished.stderr
