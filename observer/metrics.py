"""Every metric of the program, on a registry of its own: no global state, closed label sets, all series from zero.

Imports nothing of ours. Meaning of each metric and what to watch: docs/operations.md, "Metrics".
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

MessageOutcome = Literal["stored", "repeated", "refused", "dropped", "retried", "dead_lettered"]
VerdictKind = Literal["allow", "drop", "reject"]
Stage = Literal["decode", "look_up", "judge", "save", "publish", "settle"]
DeadLetterReason = Literal["invalid", "failed"]
Part = Literal["consumer", "publisher", "members"]

REFUSAL_CODES = (
    "invalid_topic",
    "invalid_id",
    "invalid_utf8",
    "invalid_json",
    "not_an_object",
    "too_large",
    "too_deep",
    "invalid_client_message_id",
    "client_message_id_taken",
    "too_many_fields",
    "text_too_long",
    "invalid_field",
    "groups_not_supported",
    "rate_limited",
    "banned",
    "not_allowed",
    "failed",
)
"""Those of docs/protocol.md, "Refusals"; a third-party policy's code counts as `other`."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STAGE_BUCKETS_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """What the program counts and times, in the pipeline's words.

    `policies` and `shards` close the label sets that depend on the configuration; a name outside raises KeyError.
    """

    def __init__(self, policies: Iterable[str] = (), shards: Iterable[int] = ()) -> None:
        self.registry = CollectorRegistry()
        self._build_counters(tuple(policies))
        self._build_timings(tuple(shards))
        Info("observer_build", "Version of the observer and of Python.", registry=self.registry).info(
            {"version": _own_version(), "python": python_version()}
        )
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    def _build_counters(self, policies: tuple[str, ...]) -> None:
        self._messages = self._counters("messages", "Messages by what became of them.", "outcome", MessageOutcome)
        self._dead_letters = self._counters(
            "dead_letters", "Messages parked in the dead-letter queue.", "reason", DeadLetterReason
        )
        self._reconnects = self._counters("reconnects", "Connections made anew after a loss.", "part", Part)
        refusals = Counter("observer_refusals", "Refusals told to senders.", ["code"], registry=self.registry)
        self._refusals = {code: refusals.labels(code) for code in (*REFUSAL_CODES, "other")}
        verdicts = Counter(
            "observer_policy_verdicts", "Verdicts of each policy.", ["policy", "verdict"], registry=self.registry
        )
        self._verdicts = {
            (policy, verdict): verdicts.labels(policy, verdict)
            for policy in policies
            for verdict in _words(VerdictKind)
        }
        self._redeliveries = self._counter("redeliveries", "Deliveries that the broker had delivered before.")
        self._publish_nacks = self._counter("publish_nacks", "Publications that the broker refused.")

    def _build_timings(self, shards: tuple[int, ...]) -> None:
        stages = Histogram(
            "observer_stage_seconds",
            "Time that one trip spent in a stage.",
            ["stage"],
            buckets=_STAGE_BUCKETS_S,
            registry=self.registry,
        )
        self._stages = {stage: stages.labels(stage) for stage in _words(Stage)}
        self._batch_size = Histogram(
            "observer_batch_size", "Messages of one batch.", buckets=_BATCH_BUCKETS, registry=self.registry
        )
        self._lag = self._shard_gauges("lag_seconds", "Age of the oldest message in hand.", shards)
        self._active = self._shard_gauges("active", "1 where this process is the shard's consumer.", shards)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(f"observer_{name}", meaning, registry=self.registry)

    def _counters(self, name: str, meaning: str, label: str, closed_set: object) -> dict[str, Counter]:
        counter = Counter(f"observer_{name}", meaning, [label], registry=self.registry)
        return {word: counter.labels(word) for word in _words(closed_set)}

    def _shard_gauges(self, name: str, meaning: str, shards: tuple[int, ...]) -> dict[int, Gauge]:
        gauge = Gauge(f"observer_shard_{name}", meaning, ["shard"], registry=self.registry)
        return {shard: gauge.labels(str(shard)) for shard in shards}

    def count_messages(self, outcome: MessageOutcome, count: int = 1) -> None:
        """`count` messages ended this way."""
        self._messages[outcome].inc(count)

    def count_verdicts(self, policy: str, verdict: VerdictKind, count: int = 1) -> None:
        """`policy` said this `count` times."""
        self._verdicts[policy, verdict].inc(count)

    def count_refusals(self, code: str, count: int = 1) -> None:
        """`count` senders were told `code`; one that is not ours counts as `other`."""
        self._refusals.get(code, self._refusals["other"]).inc(count)

    def count_dead_letters(self, reason: DeadLetterReason, count: int = 1) -> None:
        """`count` messages were parked for an operator."""
        self._dead_letters[reason].inc(count)

    def count_reconnect(self, part: Part) -> None:
        """A lost connection of this part was made anew."""
        self._reconnects[part].inc()

    def count_redeliveries(self, count: int) -> None:
        """`count` deliveries came that the broker had delivered before."""
        self._redeliveries.inc(count)

    def count_publish_nacks(self, count: int) -> None:
        """The broker refused `count` publications."""
        self._publish_nacks.inc(count)

    def observe_batch(self, size: int) -> None:
        """A batch of `size` messages was received."""
        self._batch_size.observe(size)

    def time_stage(self, stage: Stage) -> AbstractContextManager[object]:
        """Observe how long the block, one trip's stage, took, whether it ended well or not."""
        return self._stages[stage].time()

    def watch_shard_lag(self, shard: int, lag_s: Callable[[], float]) -> None:
        """Whoever reads the metrics is told what `lag_s` says then: for how long the oldest message has waited."""
        self._lag[shard].set_function(lag_s)

    def set_shard_active(self, shard: int, is_active: bool) -> None:
        """Whether this process is the shard's consumer now."""
        self._active[shard].set(int(is_active))

    def render(self) -> bytes:
        """All of it in the Prometheus text format, to be served with CONTENT_TYPE."""
        return generate_latest(self.registry)


def _words(closed_set: object) -> tuple[str, ...]:
    return get_args(closed_set)


def _own_version() -> str:
    try:
        return version("inbox-observer")
    except PackageNotFoundError:
        return "unknown"
