"""What the broker is told to declare."""

import json
from typing import Any

import pytest

from observer.broker import names
from observer.setup.broker_files import template
from observer.setup.definitions import SHARD_LIMIT_POLICY, render_definitions


def rendered(*, shards: int = 3, has_safe_reject: bool = True) -> Any:
    return json.loads(render_definitions(template("definitions.json"), shards=shards, has_safe_reject=has_safe_reject))


def test_there_is_a_queue_for_each_shard_bound_with_the_same_weight() -> None:
    """The hash spreads evenly only over equal weights."""
    definitions = rendered(shards=3)

    shards = [queue["name"] for queue in definitions["queues"] if queue["name"].startswith("chat.in.")]
    weights = {
        one["destination"]: one["routing_key"]
        for one in definitions["bindings"]
        if one["source"] == names.SHARD_EXCHANGE
    }

    assert [names.shard_queue(shard) for shard in range(3)] == shards
    assert dict.fromkeys(shards, "1") == weights


def test_each_retry_delay_is_a_number_of_milliseconds() -> None:
    """The broker takes no text for it."""
    delays = {
        queue["name"]: queue["arguments"]["x-message-ttl"]
        for queue in rendered()["queues"]
        if queue["name"].startswith("chat.retry.")
    }

    assert {names.retry_queue(delay_s): delay_s * 1000 for delay_s in names.RETRY_DELAYS_S} == delays


def test_the_names_are_those_that_the_observer_uses() -> None:
    """The template is JSON, so it cannot take them from `names.py`."""
    definitions = rendered()

    exchanges = {one["name"] for one in definitions["exchanges"]}
    outgoing = [one["routing_key"] for one in definitions["bindings"] if one["source"] == names.TOPIC_EXCHANGE]
    dead_keys = {
        queue["arguments"]["x-dead-letter-routing-key"]
        for queue in definitions["queues"]
        if queue["name"].startswith("chat.in.")
    }

    retries = {names.retry_queue(delay_s) for delay_s in names.RETRY_DELAYS_S}
    ours = {names.OUT_EXCHANGE, names.SHARD_EXCHANGE, names.DEAD_EXCHANGE, names.MEMBER_EXCHANGE}
    assert ours | retries == exchanges
    assert outgoing == ["apps.*.outgoing.#"]  # misspelt topics too: what no queue takes is acknowledged and lost
    assert {names.DEAD_ROUTING_KEY} == dead_keys
    assert [user["name"] for user in definitions["users"]] == [names.USER]


def test_no_placeholder_is_left() -> None:
    """An unfilled one would be declared as it stands."""
    assert "{{" not in json.dumps(rendered())


@pytest.mark.parametrize("has_safe_reject", [True, False])
def test_only_a_broker_that_answers_a_rejected_publisher_gets_a_limit(*, has_safe_reject: bool) -> None:
    """The others would cut the connection (docs/facts.md, "Full queues")."""
    policies = {policy["name"] for policy in rendered(has_safe_reject=has_safe_reject)["policies"]}

    assert has_safe_reject == (SHARD_LIMIT_POLICY in policies)
