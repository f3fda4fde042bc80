"""Finding the highest sustained rate."""

from dataclasses import replace

import pytest

from observer.bench.latency import Latency
from observer.bench.ramp import HIGHEST_RATE, next_rate, why_not_sustained
from observer.bench.report import Report, Usage, advice, as_text
from observer.bench.tally import Counts

P99_LIMIT_MS = 1000.0
GOOD = Report(
    rate=100.0,
    seconds=10.0,
    took_s=10.1,
    counts=Counts(planned=1000, sent=1000, acknowledged=1000, delivered=1000, delivered_in_time=990, own_copies=1000),
    delivery=Latency(count=1000, p99_ms=20.0),
    acknowledgement=Latency(),
    lateness=Latency(),
    usage=Usage(observer_cpu_s=1.0, broker_cpu_s=2.0, client_cpu_s=0.5, stored=1000),
    broken=0,
)


@pytest.mark.parametrize("limit", [37, 600, 3333.0, 20_000])
def test_the_search_closes_in_on_the_limit(limit: float) -> None:
    tried: list[tuple[float, bool]] = []
    while rate := next_rate(600, tried):
        tried.append((rate, rate <= limit))
        assert len(tried) < 30
    found = max(rate for rate, is_sustained in tried if is_sustained)
    assert 0.93 * limit <= found <= limit


def test_the_search_ends_at_the_highest_rate_allowed() -> None:
    assert next_rate(600, [(HIGHEST_RATE, True)]) is None


def test_the_search_ends_when_nothing_is_sustained() -> None:
    tried: list[tuple[float, bool]] = []
    while rate := next_rate(600, tried):
        tried.append((rate, False))
        assert len(tried) < 30
    assert tried[-1][0] <= 1


def test_a_step_in_which_everything_went_well_is_sustained() -> None:
    assert why_not_sustained(GOOD, P99_LIMIT_MS) is None


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (replace(GOOD, counts=replace(GOOD.counts, refused={"rate_limited": 3})), "3 refused"),
        (replace(GOOD, counts=replace(GOOD.counts, sent=990)), "10 could not be sent"),
        (replace(GOOD, counts=replace(GOOD.counts, delivered=999)), "1 not delivered"),
        (replace(GOOD, usage=Usage(stored=900)), "only 900 stored"),
        (replace(GOOD, counts=replace(GOOD.counts, out_of_order=1)), "1 out of order"),
        (replace(GOOD, delivery=Latency(p99_ms=1001.0)), "p99 1001 ms"),
        (replace(GOOD, counts=replace(GOOD.counts, delivered_in_time=900)), "100 still on their way at the end"),
    ],
    ids=["refused", "unsent", "undelivered", "unstored", "order", "latency", "backlog"],
)
def test_a_step_is_not_sustained_when_anything_is_missing_late_or_out_of_order(report: Report, reason: str) -> None:
    assert why_not_sustained(report, P99_LIMIT_MS) == reason


def test_a_store_that_cannot_be_asked_does_not_fail_a_step() -> None:
    assert why_not_sustained(replace(GOOD, usage=Usage()), P99_LIMIT_MS) is None


def test_the_price_of_a_message_is_its_share_of_the_cpu_time() -> None:
    told = GOOD.as_json()
    assert told["cpu_us_per_message"] == {"observer": 1000.0, "broker": 2000.0, "client": 500.0}
    assert told["delivered_per_s"] == 99.0
    assert "observer 1000, broker 2000, load client 500 µs a message" in as_text(GOOD)


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    text = as_text(replace(GOOD, usage=Usage()))
    assert "stored     unknown" in text
    assert "observer unknown" in text


def test_refusals_by_the_rate_limit_come_with_the_remedy() -> None:
    limited = replace(GOOD, counts=replace(GOOD.counts, refused={"rate_limited": 1}))
    assert any("OBSERVER_POLICIES__RATE_LIMIT__CAPACITY" in sentence for sentence in advice(limited))
    assert advice(GOOD) == []


def test_a_load_client_without_a_rest_is_named_as_the_limit() -> None:
    busy = replace(GOOD, usage=Usage(client_cpu_s=9.9))
    assert any("load client" in sentence for sentence in advice(busy))


def test_a_reading_that_fails_leaves_the_difference_unknown() -> None:
    before, after = Usage(1.0, 2.0, 3.0, 10), Usage(1.5, None, 4.0, 12)
    assert after.since(before) == Usage(0.5, None, 1.0, 2)
