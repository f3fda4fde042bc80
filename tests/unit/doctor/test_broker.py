"""Doctor, topology: what the exchanges and queues that were found mean for an operator."""

import dataclasses

import pytest

from observer.broker import names
from observer.broker.inspection import Greeting, QueueState, Topology
from observer.doctor.broker import judge_greeting, judge_topology
from observer.doctor.finding import Level

READ, UNREAD = QueueState(0, 1), QueueState(7, 0)
WELL = Topology(
    missing_exchanges=[],
    queues={
        names.shard_queue(0): READ,
        names.shard_queue(1): READ,
        names.shard_queue(2): None,
        names.DEAD_QUEUE: QueueState(0, 0),
        **{names.retry_queue(delay_s): QueueState(0, 0) for delay_s in names.RETRY_DELAYS_S},
    },
)


def with_queue(name: str, state: QueueState | None) -> Topology:
    return dataclasses.replace(WELL, queues={**WELL.queues, name: state})


def found(topology: Topology, check: str) -> tuple[Level, str]:
    (finding,) = (finding for finding in judge_topology(topology, shards=2) if finding.check == check)
    assert finding.level is Level.OK or finding.remedy
    return finding.level, finding.text


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("3.9.29", "failed"),
        ("3.10.0", "ok"),
        ("3.13.7", "ok"),
        ("4.0.9", "failed"),
        ("4.1.4", "failed"),
        ("4.2.0", "ok"),
        ("4.4.0-rc.1", "ok"),
        ("", "failed"),
    ],
)
def test_a_broker_that_our_files_are_not_for_is_a_failure(version: str, level: str) -> None:
    found = {finding.check: finding for finding in judge_greeting(Greeting(version, ["EXTERNAL"]))}
    assert found["broker version"].level == level
    assert version in found["broker version"].text


@pytest.mark.parametrize("mechanisms", [["PLAIN"], ["AMQPLAIN", "PLAIN"], ["EXTERNAL", "PLAIN"], []])
def test_a_broker_that_lets_tokens_in_over_amqp_is_a_failure(mechanisms: list[str]) -> None:
    """With a token over AMQP any user could forge any message (docs/facts.md, "Tokens over AMQP")."""
    found = {finding.check: finding for finding in judge_greeting(Greeting("4.3.6", mechanisms))}
    assert found["broker access"].level is Level.FAILED
    assert "auth_mechanisms.1 = EXTERNAL" in found["broker access"].remedy


def test_a_broker_that_takes_certificates_alone_is_well() -> None:
    found = {finding.check: finding.level for finding in judge_greeting(Greeting("4.3.6", ["EXTERNAL"]))}
    assert found["broker access"] is Level.OK


def test_everything_there_is_well() -> None:
    assert {finding.level for finding in judge_topology(WELL, shards=2)} == {Level.OK}


@pytest.mark.parametrize(
    "name", [names.shard_queue(1), names.DEAD_QUEUE, names.retry_queue(10)], ids=["shard", "dead", "retry"]
)
def test_a_missing_queue_is_named(name: str) -> None:
    level, text = found(with_queue(name, None), "topology")
    assert (level, text) == (Level.FAILED, f"not there: queue {name}")


def test_a_missing_exchange_is_named() -> None:
    topology = dataclasses.replace(WELL, missing_exchanges=[names.SHARD_EXCHANGE])
    assert found(topology, "topology") == (Level.FAILED, "not there: exchange chat.shard")


def test_a_broker_with_more_shards_than_we_read_is_a_failure() -> None:
    """Messages of the shard that nobody reads would be acknowledged to their senders and never delivered."""
    level, text = found(with_queue(names.shard_queue(2), UNREAD), "topology")
    assert level is Level.FAILED
    assert "broker.shards = 2" in text


def test_dead_letters_are_a_warning() -> None:
    level, text = found(with_queue(names.DEAD_QUEUE, QueueState(3, 0)), "dead letters")
    assert (level, text) == (Level.WARNING, "messages that could not be processed: 3")


def test_shards_without_a_reader_are_a_warning_with_what_waits() -> None:
    level, text = found(with_queue(names.shard_queue(1), UNREAD), "shards")
    assert (level, text) == (Level.WARNING, "1 of 2 shards are read by nobody, and 7 messages wait")
