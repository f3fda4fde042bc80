"""Metrics: closed label sets that exist from zero, one registry per object, nothing that names a user."""

import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from observer.metrics import REFUSAL_CODES, DeadLetterReason, MessageOutcome, Metrics, Part, Stage, VerdictKind


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["ban", "block"], range(2))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("name", "label", "words"),
    [
        ("observer_messages_total", "outcome", get_args(MessageOutcome)),
        ("observer_dead_letters_total", "reason", get_args(DeadLetterReason)),
        ("observer_reconnects_total", "part", get_args(Part)),
        ("observer_refusals_total", "code", (*REFUSAL_CODES, "other")),
        ("observer_stage_seconds_count", "stage", get_args(Stage)),
        ("observer_shard_active", "shard", ("0", "1")),
        ("observer_shard_lag_seconds", "shard", ("0", "1")),
    ],
)
def test_every_series_exists_at_zero_before_anything_happened(
    metrics: Metrics, name: str, label: str, words: tuple[str, ...]
) -> None:
    """An alert on a rate needs the series before its first event."""
    assert {word: value(metrics, name, **{label: word}) for word in words} == dict.fromkeys(words, 0.0)


def test_every_policy_starts_with_every_verdict_at_zero(metrics: Metrics) -> None:
    found = {
        (policy, verdict): value(metrics, "observer_policy_verdicts_total", policy=policy, verdict=verdict)
        for policy in ("ban", "block")
        for verdict in get_args(VerdictKind)
    }
    assert set(found.values()) == {0.0}


def test_counts_go_to_the_series_that_was_named(metrics: Metrics) -> None:
    metrics.count_messages("stored", 3)
    metrics.count_verdicts("block", "drop", 2)
    metrics.count_dead_letters("failed")
    metrics.count_reconnect("publisher")
    metrics.count_redeliveries(4)
    metrics.count_publish_nacks(5)

    assert value(metrics, "observer_messages_total", outcome="stored") == 3
    assert value(metrics, "observer_messages_total", outcome="repeated") == 0
    assert value(metrics, "observer_policy_verdicts_total", policy="block", verdict="drop") == 2
    assert value(metrics, "observer_dead_letters_total", reason="failed") == 1
    assert value(metrics, "observer_reconnects_total", part="publisher") == 1
    assert value(metrics, "observer_redeliveries_total") == 4
    assert value(metrics, "observer_publish_nacks_total") == 5


def test_a_refusal_code_that_is_not_ours_counts_as_other(metrics: Metrics) -> None:
    """A third-party policy must not be able to open a series for every message."""
    metrics.count_refusals("rate_limited")
    metrics.count_refusals("user-42-said-no")

    assert value(metrics, "observer_refusals_total", code="rate_limited") == 1
    assert value(metrics, "observer_refusals_total", code="other") == 1
    assert "user-42" not in metrics.render().decode()


def test_every_code_of_the_protocol_has_a_series_of_its_own() -> None:
    page = (Path(__file__).parents[2] / "docs/protocol.md").read_text(encoding="utf-8")
    table = page.partition("## Refusals")[2].partition("| code |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(REFUSAL_CODES)


def test_a_policy_that_was_not_named_at_the_start_is_an_error(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.count_verdicts("surprise", "allow")


def test_a_stage_is_timed_even_if_it_fails(metrics: Metrics) -> None:
    with pytest.raises(ZeroDivisionError), metrics.time_stage("save"):
        _ = 1 / 0

    assert value(metrics, "observer_stage_seconds_count", stage="save") == 1


def test_the_lag_of_a_shard_is_what_it_is_when_somebody_looks(metrics: Metrics) -> None:
    """One that is set now and then stays high in silence, and low while nothing moves."""
    lags = iter((12.5, 0.0))
    metrics.watch_shard_lag(1, lambda: next(lags))
    assert value(metrics, "observer_shard_lag_seconds", shard="1") == 12.5
    assert value(metrics, "observer_shard_lag_seconds", shard="1") == 0


def test_a_shard_is_active_where_it_is_read(metrics: Metrics) -> None:
    metrics.set_shard_active(1, True)
    assert value(metrics, "observer_shard_active", shard="1") == 1
    metrics.set_shard_active(1, False)
    assert value(metrics, "observer_shard_active", shard="1") == 0


def test_two_observers_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.count_messages("stored")
    assert value(other, "observer_messages_total", outcome="stored") == 0


def test_the_page_can_be_read_by_prometheus_and_tells_version_and_process(metrics: Metrics) -> None:
    metrics.observe_batch(7)

    families = {family.name for family in text_string_to_metric_families(metrics.render().decode())}

    assert {"observer_batch_size", "observer_stage_seconds", "observer_build_info"} <= families
    assert {"process_cpu_seconds", "python_gc_collections", "python_info"} <= families
