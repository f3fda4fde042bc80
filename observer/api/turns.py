"""Requests take turns: messages keep flowing while clients sync by the thousand, as they do after a broken line.

Requests and the pipeline share one event loop, where whatever is ready gets its turn: among hundreds of requests, a
batch of messages would wait for all of them at each step of its way. So a few are worked on, and the others wait.
"""

import asyncio
from contextlib import ExitStack

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from observer.api.problems import problem_response, unavailable

READS_AT_ONCE = 8
SENDS_AT_ONCE = 32
"""More, since each waits for the broker's confirm; and apart, so that a broker in need keeps no reader waiting."""
WAIT_S = 10.0
"""A client that waited so long is better told to come later."""
NEVER_WAITS = frozenset({"/livez", "/readyz", "/metrics"})
"""What an operator asks when all is busy; none of it asks the store."""


class Turns:
    """ASGI middleware; must stand inside Intake, so that a slow body keeps no turn."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._sends = asyncio.Semaphore(SENDS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turns = self._turns_of(scope)
        if turns is None:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await turns.acquire()
        except TimeoutError:
            busy = unavailable("busy", f"No turn within {WAIT_S:g} s: too many requests at once. Try again later.")
            await problem_response(busy, scope["state"]["request_id"])(scope, receive, send)
            return
        with ExitStack() as turn:
            turn.callback(turns.release)

            async def answer(message: Message) -> None:
                turn.close()  # what does not fit into the buffers goes out at the reader's pace, which may be none
                await send(message)

            await self._app(scope, receive, answer)

    def _turns_of(self, scope: Scope) -> asyncio.Semaphore | None:
        match scope["method"], scope["path"]:
            case "GET", path if path not in NEVER_WAITS:
                return self._reads
            case "POST", "/v1/messages":
                return self._sends
            case _:
                return None
