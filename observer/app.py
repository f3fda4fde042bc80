"""The composition root: builds everything from the settings, and takes it down in the opposite order.

Built: the API's port → the store (schema, indexes, lock) → lines to publish on. In between, `parts.py` runs the parts.
"""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from observer.api import create_api, listen, serve
from observer.api.services import ApiOptions
from observer.broker.connect import BrokerOptions
from observer.broker.gathering import GatheringPublisher
from observer.broker.inspection import is_every_shard_read
from observer.broker.membership import Membership
from observer.broker.publisher import NACK_DELAYS_S, ConfirmingPublisher
from observer.broker.shard_queue import AmqpShardQueue
from observer.health import Health
from observer.metrics import Metrics
from observer.parts import Parts, Shards, run_parts
from observer.pipeline.decode import MAX_BYTES
from observer.pipeline.process import Services
from observer.pipeline.rates import RateLedger
from observer.pipeline.shard import ShardLoop
from observer.pipeline.trips import Trips
from observer.settings import BrokerSettings, PolicySettings, Settings
from observer.store import open_store
from observer.store.base import Store
from observer.tokens.wiring import build_tokens
from policies import PolicyOptions, build_policies
from policies.base import Privacy
from policies.chain import PolicyChain
from policies.rate_limit import RateLimitOptions
from policies.shape import ShapeOptions

API_DRAIN_S = 5.0
TRIP_NACK_DELAYS_S = (0.01, 0.05)
"""Whoever travels along waits meanwhile; the shard of a message that is refused for longer waits alone."""
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
        privacy=Privacy(settings.privacy.who_may_write) if settings.privacy.enabled else None,
        extra=settings.extra,
        block=settings.block.enabled,
    )


def now_ms() -> int:
    """The server's clock."""
    return time.time_ns() // 1_000_000


async def run(settings: Settings, *, stop: asyncio.Event, on_ready: Callable[[], None] = lambda: None) -> None:
    """Run the observer until `stop`. `on_ready` is called once, when messages flow.

    Raises ConfigError for what the operator must mend.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    async with AsyncExitStack() as stack:
        parts = await _build(settings, stack)
        await run_parts(parts, stop, on_ready, shutdown_timeout_s=settings.shutdown_timeout_s)


async def _build(settings: Settings, stack: AsyncExitStack) -> Parts:
    policies = build_policies(policy_options(settings.policies))
    issuer, identifier = build_tokens(settings)
    metrics = Metrics(policies.names, range(settings.broker.shards))
    store = open_store(settings.store.url.get_secret_value(), settings.store.timeout_s)
    listener = listen(settings.api.host, settings.api.port)  # first of all, so that a taken port ends nothing halfway
    stack.callback(listener.close)
    await store.open()
    stack.push_async_callback(store.close)
    shards = await _build_shards(settings, stack, store, policies, metrics)
    health = Health(store, shards.idle)
    membership = Membership(
        broker_options(settings.broker),
        can_work=health.has_store,
        on_change=lambda members: shards.share(membership.member, members),
        on_reconnect=lambda: metrics.count_reconnect("members"),
    )
    outbound = GatheringPublisher(await _publisher(settings, stack, "api", metrics))
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
    proxies = settings.api.trusted_proxies
    serve_api = partial(serve, api, listener, drain_timeout_s=API_DRAIN_S, trusted_proxies=proxies)
    can_announce = partial(is_every_shard_read, broker_options(settings.broker), settings.broker.shards)
    return Parts(shards, membership, health, can_announce, serve_api)


async def _build_shards(
    settings: Settings, stack: AsyncExitStack, store: Store, policies: PolicyChain, metrics: Metrics
) -> Shards:
    broker, shape, rate = settings.broker, settings.policies.shape, settings.policies.rate_limit
    services = Services(
        store,
        policies,
        RateLedger(rate.capacity, rate.refill_per_s),
        metrics,
        now_ms,
        broker.dead_letter_after,
        shape.max_bytes if shape.enabled else MAX_BYTES,
    )
    lines = [
        await _publisher(settings, stack, f"publisher {number}", metrics, nack_delays_s=TRIP_NACK_DELAYS_S)
        for number in range(broker.trips_at_once)
    ]
    trips = Trips(lines, services)
    stack.push_async_callback(trips.close)
    parking = await _publisher(settings, stack, "parking", metrics)
    loops = {shard: _shard_loop(shard, broker, trips, parking, services) for shard in range(broker.shards)}
    for shard, loop in loops.items():
        metrics.watch_shard_lag(shard, loop.lag_s)
    return Shards(loops)


def _shard_loop(
    shard: int, settings: BrokerSettings, trips: Trips, parking: ConfirmingPublisher, services: Services
) -> ShardLoop:
    options = broker_options(settings)

    def open_queue(prefetch: int) -> AmqpShardQueue:
        return AmqpShardQueue(
            options,
            shard,
            prefetch=prefetch,
            publisher=parking,
            name=f"shard {shard}",
            clock=now_ms,
            max_body=services.max_bytes,
        )

    return ShardLoop(shard, open_queue, trips, parking, services, settings.prefetch, settings.batch_max)


async def _publisher(
    settings: Settings,
    stack: AsyncExitStack,
    name: str,
    metrics: Metrics,
    *,
    nack_delays_s: Sequence[float] = NACK_DELAYS_S,
) -> ConfirmingPublisher:
    publisher = ConfirmingPublisher(
        broker_options(settings.broker),
        name,
        on_nack=metrics.count_publish_nacks,
        on_reconnect=lambda: metrics.count_reconnect("publisher"),
        nack_delays_s=nack_delays_s,
    )
    return await stack.enter_async_context(publisher)


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
        default_privacy=Privacy(settings.policies.privacy.who_may_write),
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
