"""The parts of a running observer: started side by side, watched, and stopped in order.

Stop: not ready → shard loops end their batch and give the rest back → membership says goodbye → API.
A part that ends before it was told to ends the process: an orchestrator restarts it, and nothing fails in silence.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from observer.broker.assignment import assign
from observer.broker.membership import Membership
from observer.health import Health
from observer.pipeline.shard import ShardLoop

log = structlog.get_logger()

GOODBYE_S = 2.0
"""How long the other processes may keep us from telling them that we leave; else they notice by themselves."""
READY_CHECK_S = 0.05


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


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs side by side."""

    shards: Shards
    membership: Membership
    health: Health
    can_announce: Callable[[], Coroutine[Any, Any, bool]]
    """Asked once all is healthy; may raise what ends the process."""
    serve_api: Callable[..., Coroutine[Any, Any, None]]
    """Called with `stop`, an event: serves until it is set."""


async def run_parts(
    parts: Parts, stop: asyncio.Event, on_ready: Callable[[], None], *, shutdown_timeout_s: float
) -> None:
    """Run them until `stop`. `on_ready` is called once, when messages flow. Raises what went wrong first."""
    try:
        if not stop.is_set():  # Ctrl-C may come before anything has begun
            await _run(parts, stop, on_ready, shutdown_timeout_s)
    except BaseExceptionGroup as failed:
        raise _first(failed) from failed
    log.info("observer_stopped")


async def _run(parts: Parts, stop: asyncio.Event, on_ready: Callable[[], None], shutdown_timeout_s: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        stop_watching, stop_serving = asyncio.Event(), asyncio.Event()
        _start(tasks, "health", parts.health.watch(stop_watching), stop)
        members = _start(tasks, "members", parts.membership.run(), stop)
        consuming = [
            (loop, _start(tasks, f"shard {shard}", loop.run(), stop)) for shard, loop in parts.shards.loops.items()
        ]
        _start(tasks, "api", parts.serve_api(stop=stop_serving), stop)
        ready = tasks.create_task(_announce(parts, on_ready))
        await stop.wait()
        ready.cancel()
        parts.health.stop()
        log.info("observer_stopping")
        await _end_consuming(consuming, shutdown_timeout_s)
        parts.membership.stop()
        await asyncio.wait([members], timeout=GOODBYE_S)
        members.cancel()
        stop_serving.set()
        stop_watching.set()


def _start(
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


async def _announce(parts: Parts, on_ready: Callable[[], None]) -> None:
    while parts.health.reasons() or not await parts.can_announce():  # noqa: ASYNC110 - only the log waits for this
        await asyncio.sleep(READY_CHECK_S)
    log.info("observer_ready")
    on_ready()


async def _end_consuming(consuming: Sequence[tuple[ShardLoop, asyncio.Task[None]]], timeout_s: float) -> None:
    """Let each end its batch in hand; what takes too long is cut off, and the broker delivers it again."""
    for loop, task in consuming:
        loop.stop()
        if not loop.is_consuming:
            task.cancel()  # it waits for the broker or the store, with nothing in hand
    _, pending = await asyncio.wait([task for _, task in consuming], timeout=timeout_s)
    for task in pending:
        log.warning("shutdown_timed_out", part=task.get_name())
        task.cancel()


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first: the other parts ended because of it."""
    cause = failed.exceptions[0]
    return _first(cause) if isinstance(cause, BaseExceptionGroup) else cause
