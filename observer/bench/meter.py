"""Reads what a step costs: CPU time of each party, and how many messages the observer has stored."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from observer.bench.cpu import cpu_seconds
from observer.bench.report import Usage

_STORED = 'observer_messages_total{outcome="stored"}'
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Meter:
    """Where to read. Empty sequences: not known, and reported so."""

    observer_pids: Sequence[int]
    broker_pids: Sequence[int]
    metrics_urls: Sequence[str]
    """`/metrics` of every observer process."""

    async def read(self) -> Usage:
        """How things stand now."""
        return Usage(
            observer_cpu_s=_total([cpu_seconds(pid) for pid in self.observer_pids]),
            broker_cpu_s=_total([cpu_seconds(pid) for pid in self.broker_pids]),
            client_cpu_s=cpu_seconds(os.getpid()),
            stored=await self._stored(),
        )

    async def _stored(self) -> int | None:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            try:
                answers = [(await client.get(url)).text for url in self.metrics_urls]
            except httpx.HTTPError:
                return None
        total = _total([stored_count(answer) for answer in answers])
        return None if total is None else int(total)


def stored_count(metrics: str) -> float | None:
    """The number of stored messages in a `/metrics` answer, or None if it does not tell."""
    line = next((line for line in metrics.splitlines() if line.startswith(_STORED)), None)
    return float(line.rpartition(" ")[2]) if line else None


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
