"""One benchmark from its options to its reports; called by `observer bench`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from observer.bench.access import bare_logins, logins
from observer.bench.load import Load, LoadOptions, Progress, open_load
from observer.bench.meter import Meter
from observer.bench.mqtt import Login
from observer.bench.ramp import next_rate, why_not_sustained
from observer.bench.report import Report, report
from observer.bench.routes import streams, users
from observer.settings import Settings
from observer.tokens.keys import read_ring
from observer.tokens.wiring import build_issuer


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure."""

    app: str
    pairs: int
    both_ways: bool
    payload_bytes: int
    is_bare: bool
    """Without the observer: the senders write the copies into the inboxes themselves."""
    rate: float
    seconds: float
    warmup_s: float
    load: LoadOptions


async def measure(options: BenchOptions, settings: Settings, meter: Meter, progress: Progress) -> Report:
    """One step at the rate asked for, after a warm-up that is not counted."""
    async with _connected(options, settings, progress) as load:
        return await _step(load, options.rate, options.seconds, meter, progress)


async def find_maximum(
    options: BenchOptions, p99_limit_ms: float, settings: Settings, meter: Meter, progress: Progress
) -> list[Report]:
    """Step after step, at rates that close in on the highest sustained one; all of them, in the order tried."""
    tried: list[Report] = []
    async with _connected(options, settings, progress) as load:
        while rate := next_rate(options.rate, _verdicts(tried, p99_limit_ms)):
            tried.append(await _step(load, rate, options.seconds, meter, progress))
            progress(f"{rate:.0f}/s: {why_not_sustained(tried[-1], p99_limit_ms) or 'sustained'}")
    return tried


def best(tried: Sequence[Report], p99_limit_ms: float) -> Report | None:
    """The sustained step with the highest rate."""
    sustained = [one for one in tried if not why_not_sustained(one, p99_limit_ms)]
    return max(sustained, key=lambda one: one.rate, default=None)


def _verdicts(tried: Sequence[Report], p99_limit_ms: float) -> list[tuple[float, bool]]:
    return [(one.rate, not why_not_sustained(one, p99_limit_ms)) for one in tried]


@asynccontextmanager
async def _connected(options: BenchOptions, settings: Settings, progress: Progress) -> AsyncIterator[Load]:
    names = users(options.pairs)
    ways = streams(
        options.app,
        options.pairs,
        both_ways=options.both_ways,
        payload_bytes=options.payload_bytes,
        is_bare=options.is_bare,
    )
    progress(f"connecting {len(names)} clients")
    async with open_load(options.load, names, _logins(options, settings, names), ways) as load:
        if options.warmup_s:
            progress(f"warming up for {options.warmup_s:g} s")
            await load.run(options.rate, options.warmup_s, progress)
        yield load


def _logins(options: BenchOptions, settings: Settings, names: Sequence[str]) -> list[Login]:
    if not options.is_bare:
        return logins(build_issuer(settings), options.app, names)
    key = read_ring(settings.tokens.keys_dir, settings.tokens.algorithm).current
    audience = settings.tokens.audience
    return bare_logins(key, options.app, names, vhost=settings.broker.vhost, audience=audience)


async def _step(load: Load, rate: float, seconds: float, meter: Meter, progress: Progress) -> Report:
    progress(f"{rate:.0f} messages a second for {seconds:g} s")
    before, broken = await meter.read(), len(load.broken)
    tally = await load.run(rate, seconds, progress)
    usage = (await meter.read()).since(before)
    return report(tally, usage, broken=len(load.broken) - broken)
