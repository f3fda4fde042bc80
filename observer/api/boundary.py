"""The outermost layer of every request: its id, its log line, the headers of every answer, and the answer to a bug."""

from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from observer.api.problems import Problem, problem_response

log = structlog.get_logger()


class Boundary:
    """ASGI middleware. Logs the route, never the path or the query: they hold ids and tokens."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        answer = _Answer(send, request_id)
        start_s = perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            await self._run(scope, receive, answer)
            duration_ms = round((perf_counter() - start_s) * 1000, 1)
            log.debug("request_handled", **_route(scope), status=answer.status, duration_ms=duration_ms)

    async def _run(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            await self._app(scope, receive, answer)
        except Exception:
            # A bug: it must not reach the client, and the next request must find us at work.
            log.exception("request_failed", **_route(scope))
            if answer.status is None:
                problem = Problem("internal_error", "The log of the observer tells more, under the id in `instance`.")
                await problem_response(problem, answer.request_id)(scope, receive, answer)


class _Answer:
    """`send`, which adds our headers to every response and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self.request_id = request_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._complete(MutableHeaders(scope=message))
        await self._send(message)

    def _complete(self, headers: MutableHeaders) -> None:
        headers["X-Request-Id"] = self.request_id
        headers["X-Content-Type-Options"] = "nosniff"
        headers.setdefault("Cache-Control", "no-store")
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")


def _route(scope: Scope) -> dict[str, str]:
    route = scope.get("route")
    return {"method": scope["method"], "route": getattr(route, "path", "none")}
