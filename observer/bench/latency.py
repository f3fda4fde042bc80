"""Latencies as figures: percentiles by nearest rank, in milliseconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Latency:
    """The distribution of some latencies; all zero where there was none."""

    count: int = 0
    mean_ms: float = 0.0
    p50_ms: float = 0.0
    p95_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0


def summarize(latencies_s: Iterable[float]) -> Latency:
    """The figures of these latencies, given in seconds."""
    ordered = sorted(latencies_s)
    if not ordered:
        return Latency()
    return Latency(
        count=len(ordered),
        mean_ms=_ms(sum(ordered) / len(ordered)),
        p50_ms=_ms(_percentile(ordered, 50)),
        p95_ms=_ms(_percentile(ordered, 95)),
        p99_ms=_ms(_percentile(ordered, 99)),
        max_ms=_ms(ordered[-1]),
    )


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[ceil(len(ordered) * percent / 100) - 1]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
