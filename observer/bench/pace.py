"""The beat of the load: wakes the event loop when a message is due.

uvloop's timers count whole milliseconds, which is a good part of the latency to be measured; a thread's wait is exact
to about a tenth of one.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

from observer.bench.tally import Step

_SHORTEST_BEAT_S = 0.001  # above 1,000 messages a second several go out at each beat


@contextmanager
def pacing(step: Step, send_due: Callable[[], None]) -> Iterator[None]:
    """Within the block, call `send_due` in the running event loop whenever a message of `step` falls due."""
    loop, stop = asyncio.get_running_loop(), Event()
    thread = Thread(target=_beat, args=(step, lambda: loop.call_soon_threadsafe(send_due), stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def next_due(step: Step, after: int, now_s: float) -> int:
    """The message to wake up for once message `after` has gone out: at least a beat from now, or the last one."""
    due_by_then = int((now_s + _SHORTEST_BEAT_S - step.start_s) * step.rate)
    return min(step.count - 1, max(after + 1, due_by_then))


def _beat(step: Step, wake: Callable[[], object], stop: Event) -> None:
    number = 0
    while not stop.wait(max(0.0, step.due_s(number) - monotonic())):
        wake()
        if number == step.count - 1:
            return
        number = next_due(step, number, monotonic())
