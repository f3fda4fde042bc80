"""The composition root: builds everything from the settings, starts it, and stops it in order.

Start: store (schema, indexes, lock) → membership and shard loops → HTTP API.
Stop: not ready → shard loops end their batch and give the rest back → membership says goodbye → API → lines → store.
A part that ends before it was told to ends the process: an orchestrator restarts it, and nothing fails in silence.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from observer.api import create_api, listen, serve
from observer.api.services import ApiOptions
from observer.broker.assignment import assign
from observer.broker.connect import BrokerOptions
from observer.broker.gathering import GatheringPublisher
from observer.broker.membership import Membership
from observer.broker.publisher import ConfirmingPublisher
from observer.broker.shard_queue import AmqpShardQueue
from observer.health import Health
from observer.metrics import Metrics
from observer.pipeline.decode import MAX_BYTES
from observer.pipeline.process import Services
from observer.pipeline.rates import RateLedger
from observer.pipeline.shard import ShardLoop
from observer.pipeline.trips import Trips
from observer.settings import BrokerSettings, PolicySettings, Settings
from observer.store import open_store
from observer.tokens.wiring import build_tokens
from policies import PolicyOptions, build_policies
from policies.rate_limit import RateLimitOptions
from policies.shape import ShapeOptions

log = structlog.get_logger()

API_DRAIN_S = 5.0
GOODBYE_S = 2.0
"""How long the other processes may keep us from telling them that we leave; else they notice by themselves."""
READY_CHECK_S = 0.05
SWITCH_INTERVAL_S = 0.0005
"""How long a thread of SQLite's may wait for Python's global lock; the usual 5 ms were most of a save."""


def broker_options(settings: BrokerSettings) -> BrokerOptions:
    """How the settings say to reach the broker."""
    return BrokerOptions(
        settings.host,
        settings.port,
        settings.server_name,
        settings.vhost,
        settings.ca_file,
        settings.cert_file,
        settings.key_file,
        settings.heartbeat_s,
        settings.confirm_timeout_s,
    )


def policy_options(settings: PolicySettings) -> PolicyOptions:
    """Which policies the settings switch on, with their limits."""
    shape, rate = settings.shape, settings.rate_limit
    return PolicyOptions(
        shape=ShapeOptions(
            max_bytes=shape.max_bytes, max_depth=shape.max_depth, max_fields=shape.max_fields, max_text=shape.max_text
        )
        if shape.enabled
        else None,
        rate_limit=RateLimitOptions(rate.capacity, rate.refill_per_s) if rate.enabled else None,
        ban=settings.ban.enabled,
        privacy=settings.privacy.enabled,
        extra=settings.extra,
        block=settings.block.enabled,
    )


def now_ms() -> int:
    """The server's clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Shards:
    """The shard loops of this process, and who of the living processes owns which."""

    loops: Mapping[int, ShardLoop]

    def share(self, member: str, members: frozenset[str]) -> None:
        """Take what is this member's among `members`, release the rest."""
        owners = assign(members, len(self.loops))
        for shard, loop in self.loops.items():
            if owners[shard] == member:
                loop.want()
            else:
                loop.release()

    def idle(self) -> Sequence[int]:
        """Shards that are this process's and have no open queue."""
        return [shard for shard, loop in self.loops.items() if loop.is_wanted and not loop.is_consuming]

    def stop(self) -> None:
        """End them all, after the batch in hand."""
        for loop in self.loops.values():
            loop.stop()


async def run(settings: Settings, *, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run the observer until `stop`. `on_ready` is called once, when messages flow.

    Raises ConfigError for what the operator must mend.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        async with AsyncExitStack() as stack:
            await _start(settings, stack, stop, on_ready)
    except BaseExceptionGroup as failed:
        raise _first(failed) from failed


async def _start(settings: Settings, stack: AsyncExitStack, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
    policies = build_policies(policy_options(settings.policies))
    issuer, identifier = build_tokens(settings)
    shards = range(settings.broker.shards)
    metrics = Metrics(policies.names, shards)
    store = open_store(settings.store.url.get_secret_value(), settings.store.timeout_s)
    listener = listen(settings.api.host, settings.api.port)  # first of all, so that a taken port ends nothing halfway
    stack.callback(listener.close)
    await store.open()
    stack.push_async_callback(store.close)
    options = broker_options(settings.broker)
    rate = settings.policies.rate_limit
    services = Services(
        store,
        policies,
        RateLedger(rate.capacity, rate.refill_per_s),
        metrics,
        now_ms,
        settings.broker.dead_letter_after,
        settings.policies.shape.max_bytes if settings.policies.shape.enabled else MAX_BYTES,
    )
    trips = Trips(
        [
            await stack.enter_async_context(_publisher(options, f"publisher {number}", metrics))
            for number in range(settings.broker.trips_at_once)
        ],
        services,
    )
    stack.push_async_callback(trips.close)
    parking = await stack.enter_async_context(_publisher(options, "parking", metrics))
    loops = Shards({shard: _shard_loop(shard, options, settings.broker, trips, parking, services) for shard in shards})
    health = Health(store, loops.idle)
    membership = Membership(
        options,
        on_change=lambda members: loops.share(membership.member, members),
        on_reconnect=lambda: metrics.count_reconnect("members"),
    )
    outbound = GatheringPublisher(await stack.enter_async_context(_publisher(options, "api", metrics)))
    stack.push_async_callback(outbound.close)
    api = create_api(
        store=store,
        publisher=outbound,
        issuer=issuer,
        identifier=identifier,
        health=health,
        options=_api_options(settings),
        registry=metrics.registry,
        clock=now_ms,
    )
    async with asyncio.TaskGroup() as tasks:
        stop_watching, stop_serving = asyncio.Event(), asyncio.Event()
        _start_part(tasks, "health", health.watch(stop_watching), stop)
        members = _start_part(tasks, "members", membership.run(), stop)
        consuming = [
            (loop, _start_part(tasks, f"shard {shard}", loop.run(), stop)) for shard, loop in loops.loops.items()
        ]
        serving = serve(
            api,
            listener,
            stop=stop_serving,
            drain_timeout_s=API_DRAIN_S,
            trusted_proxies=settings.api.trusted_proxies,
        )
        _start_part(tasks, "api", serving, stop)
        ready = tasks.create_task(_announce(health, on_ready))
        await stop.wait()
        ready.cancel()
        health.stop()
        log.info("observer_stopping")
        loops.stop()
        for loop, task in consuming:
            if not loop.is_consuming:
                task.cancel()  # it waits for the broker or the store, with nothing in hand
        await _end_within([task for _, task in consuming], settings.shutdown_timeout_s)
        membership.stop()
        await asyncio.wait([members], timeout=GOODBYE_S)
        members.cancel()
        stop_serving.set()
        stop_watching.set()
    log.info("observer_stopped")


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first: the other parts ended because of it."""
    cause = failed.exceptions[0]
    return _first(cause) if isinstance(cause, BaseExceptionGroup) else cause


def _start_part(
    tasks: asyncio.TaskGroup, name: str, part: Coroutine[Any, Any, None], stop: asyncio.Event
) -> asyncio.Task[None]:
    async def watched() -> None:
        try:
            await part
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError(f"part {name!r} was cancelled by nobody") from error
        if not stop.is_set():
            raise RuntimeError(f"part {name!r} ended by itself")

    return tasks.create_task(watched(), name=name)


async def _announce(health: Health, on_ready: Callable[[], None]) -> None:
    while health.reasons():  # noqa: ASYNC110 - three parts decide it, and nobody waits for this but the log
        await asyncio.sleep(READY_CHECK_S)
    log.info("observer_ready")
    on_ready()


async def _end_within(tasks: Sequence[asyncio.Task[None]], timeout_s: float) -> None:
    """Wait for the shard loops; what is still busy then is cut off, and the broker delivers it again."""
    _, pending = await asyncio.wait(tasks, timeout=timeout_s)
    for task in pending:
        log.warning("shutdown_timed_out", part=task.get_name())
        task.cancel()


def _shard_loop(
    shard: int,
    options: BrokerOptions,
    settings: BrokerSettings,
    trips: Trips,
    parking: ConfirmingPublisher,
    services: Services,
) -> ShardLoop:
    def open_queue(number: int, prefetch: int) -> AmqpShardQueue:
        return AmqpShardQueue(
            options, number, prefetch=prefetch, publisher=parking, name=f"shard {number}", max_body=services.max_bytes
        )

    return ShardLoop(shard, open_queue, trips, parking, services, settings.prefetch, settings.batch_max)


def _publisher(options: BrokerOptions, name: str, metrics: Metrics) -> ConfirmingPublisher:
    return ConfirmingPublisher(
        options,
        name,
        on_nack=metrics.count_publish_nacks,
        on_reconnect=lambda: metrics.count_reconnect("publisher"),
    )


def _api_options(settings: Settings) -> ApiOptions:
    api = settings.api
    return ApiOptions(
        mqtt_url=settings.public.mqtt_url,
        websocket_url=settings.public.websocket_url,
        max_body_bytes=api.max_body_bytes,
        rate_capacity=api.rate_capacity,
        rate_refill_per_s=api.rate_refill_per_s,
        cors_origins=api.cors_origins,
        is_metrics_open=api.metrics_open,
    )


@asynccontextmanager
async def stopped_by_signals() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set, and SIGHUP (a closed terminal) unless it is ignored, as `nohup` does it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in numbers:
            with suppress(ValueError):
                loop.remove_signal_handler(number)
