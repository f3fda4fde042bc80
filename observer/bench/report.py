"""What a step came to, as a record, as JSON and as text for a terminal."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from observer.bench.latency import Latency, summarize
from observer.bench.tally import Counts, Tally

BUSY_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Usage:
    """What a step cost, as far as it could be found out: CPU seconds of each party, and messages newly stored."""

    observer_cpu_s: float | None = None
    broker_cpu_s: float | None = None
    client_cpu_s: float | None = None
    stored: int | None = None

    def since(self, before: "Usage") -> "Usage":
        """The difference from an earlier reading; what either of the two does not know stays unknown."""
        return Usage(
            _difference(self.observer_cpu_s, before.observer_cpu_s),
            _difference(self.broker_cpu_s, before.broker_cpu_s),
            _difference(self.client_cpu_s, before.client_cpu_s),
            None if self.stored is None or before.stored is None else self.stored - before.stored,
        )


@dataclass(frozen=True, slots=True)
class Report:
    """One step."""

    rate: float
    """Planned messages a second."""
    seconds: float
    """Length of the schedule."""
    took_s: float
    """The same with the wait for the last message."""
    counts: Counts
    delivery: Latency
    """Planned time to the recipient."""
    acknowledgement: Latency
    """Planned time to PUBACK."""
    lateness: Latency
    """Planned time to the moment of sending: the load client's own share."""
    usage: Usage
    broken: int
    """Connections that broke."""

    @property
    def delivered_per_s(self) -> float:
        """What reached the recipients while the load lasted."""
        return self.counts.delivered_in_time / self.seconds

    @property
    def is_client_busy(self) -> bool:
        """Whether the load client had no time left: then the figures are its own, not the system's."""
        return (self.usage.client_cpu_s or 0) / self.took_s > BUSY_SHARE

    def cpu_us(self, cpu_s: float | None) -> float | None:
        """These CPU seconds as microseconds a message."""
        return None if cpu_s is None or not self.counts.sent else round(cpu_s * 1e6 / self.counts.sent, 1)

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        return asdict(self) | {
            "delivered_per_s": round(self.delivered_per_s, 1),
            "cpu_us_per_message": {
                "observer": self.cpu_us(self.usage.observer_cpu_s),
                "broker": self.cpu_us(self.usage.broker_cpu_s),
                "client": self.cpu_us(self.usage.client_cpu_s),
            },
        }


def report(tally: Tally, usage: Usage, *, broken: int) -> Report:
    """The figures of a finished step."""
    step = tally.step
    return Report(
        rate=step.rate,
        seconds=step.count / step.rate,
        took_s=max(tally.last_event_s, step.end_s) - step.start_s,
        counts=tally.counts(),
        delivery=summarize(tally.delivery_s()),
        acknowledgement=summarize(tally.acknowledgement_s()),
        lateness=summarize(tally.lateness_s()),
        usage=usage,
        broken=broken,
    )


def as_text(report: Report) -> str:
    """The figures for a person."""
    counts, per_s = report.counts, report.delivered_per_s
    refused = ", ".join(f"{count} {code}" for code, count in counts.refused.items()) or "0"
    rows = [
        ("planned", f"{counts.planned} at {report.rate:.0f}/s for {report.seconds:.1f} s"),
        ("sent", f"{counts.sent}, acknowledged {counts.acknowledged}, refused {refused}"),
        ("stored", _shown(report.usage.stored)),
        ("delivered", f"{counts.delivered} to recipients ({per_s:.0f}/s), {counts.own_copies} to senders"),
        ("lost", f"{counts.lost}, own copies lost {counts.own_copies_lost}, broken connections {report.broken}"),
        ("repeats", f"{counts.repeated} under the same message id, {counts.duplicates} under another"),
        ("order", f"{counts.out_of_order} out of order"),
        ("delivery", _latency_text(report.delivery)),
        ("PUBACK", _latency_text(report.acknowledgement)),
        ("sent late", _latency_text(report.lateness)),
        ("CPU", _cpu_text(report)),
    ]
    return "\n".join(f"{name:<10} {text}" for name, text in rows)


def advice(report: Report) -> Sequence[str]:
    """What somebody who reads these figures should know about them."""
    told = []
    if report.counts.refused.get("rate_limited"):
        told.append(
            "The rate limit refused messages. Start the observer with a higher one, the policy still on: "
            "OBSERVER_POLICIES__RATE_LIMIT__CAPACITY=100000 OBSERVER_POLICIES__RATE_LIMIT__REFILL_PER_S=10000."
        )
    if report.is_client_busy:
        told.append("The load client had no processor time left: these are its limits, not the system's.")
    if report.counts.strays:
        told.append(f"{report.counts.strays} messages of somebody else came in: is another benchmark running?")
    return told


def _latency_text(latency: Latency) -> str:
    return (
        f"mean {latency.mean_ms:.1f}  p50 {latency.p50_ms:.1f}  p95 {latency.p95_ms:.1f}  "
        f"p99 {latency.p99_ms:.1f}  max {latency.max_ms:.1f} ms"
    )


def _cpu_text(report: Report) -> str:
    usage = report.usage
    parties = (("observer", usage.observer_cpu_s), ("broker", usage.broker_cpu_s), ("load client", usage.client_cpu_s))
    return ", ".join(f"{name} {_shown(report.cpu_us(cpu_s))}" for name, cpu_s in parties) + " µs a message"


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:g}"


def _difference(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else now - before
