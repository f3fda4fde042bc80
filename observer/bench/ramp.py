"""Finds the highest rate that the system sustains: raises the rate until a step fails, then closes in on the limit."""

from collections.abc import Sequence

from observer.bench.report import Report

BACKLOG = 0.02
"""Share of a step's messages that may still be on their way when its schedule ends: more, and a backlog grows."""
CLOSENESS = 0.05
"""The search ends when the sustained and the failed rate are so near to each other."""
GROWTH = 1.5
"""From step to step, until one fails."""
HIGHEST_RATE = 50_000
"""Messages a second."""


def why_not_sustained(report: Report, p99_limit_ms: float) -> str | None:
    """What was wrong with a step, or None if everything sent was stored and delivered in time and in order."""
    counts, stored = report.counts, report.usage.stored
    on_the_way = counts.planned - counts.delivered_in_time
    checks = (
        (counts.refused, f"{sum(counts.refused.values())} refused"),
        (counts.sent < counts.planned, f"{counts.planned - counts.sent} could not be sent"),
        (counts.delivered < counts.planned, f"{counts.planned - counts.delivered} not delivered"),
        (stored is not None and stored < counts.planned, f"only {stored} stored"),
        (counts.out_of_order, f"{counts.out_of_order} out of order"),
        (report.delivery.p99_ms > p99_limit_ms, f"p99 {report.delivery.p99_ms:.0f} ms"),
        (on_the_way > BACKLOG * counts.planned, f"{on_the_way} still on their way at the end"),
    )
    return next((text for is_wrong, text in checks if is_wrong), None)


def next_rate(first: float, tried: Sequence[tuple[float, bool]]) -> float | None:
    """The rate to try next, after these rates and whether each was sustained; None when the limit is found."""
    sustained = max((rate for rate, is_sustained in tried if is_sustained), default=0.0)
    failed = min((rate for rate, is_sustained in tried if not is_sustained), default=None)
    if not tried:
        return first
    if failed is None:
        return min(sustained * GROWTH, HIGHEST_RATE) if sustained < HIGHEST_RATE else None
    if failed <= 1 or failed - sustained <= CLOSENESS * failed:
        return None
    return round((sustained + failed) / 2)
