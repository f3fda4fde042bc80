"""Reads take turns: messages keep flowing while clients sync by the thousand, as they do after a broken line.

Requests and the pipeline share one event loop, where whatever is ready gets its turn: among hundreds of requests, a
batch of messages would wait for all of them at each step of its way. So a few are worked on, and the others wait.
"""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from observer.api.intake import PROBE_PATHS
from observer.api.problems import problem_response, unavailable

READS_AT_ONCE = 8
WAIT_S = 10.0
"""A client that waited so long is better told to come later."""


class Turns:
    """ASGI middleware; must stand inside Intake, so that a slow body keeps no turn."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._free = asyncio.Semaphore(READS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What writes never waits: a sender holds his request until the broker confirms, and would keep readers waiting.
        if scope["method"] != "GET" or scope["path"] in PROBE_PATHS:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            busy = unavailable("busy", f"{READS_AT_ONCE} requests were in work for {WAIT_S:g} s. Try again later.")
            await problem_response(busy, scope["state"]["request_id"])(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._free.release()
