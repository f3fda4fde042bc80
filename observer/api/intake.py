"""What a request must pass before anything else looks at it: the bucket of its address, and a bounded JSON body.

The body is read here, whole and counted, so that no route ever meets one that is too large, too slow or not JSON.
"""

import asyncio

import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from observer.api.limits import address_key
from observer.api.problems import Problem, problem_response, rate_limited
from observer.api.services import Clock
from observer.token_buckets import TokenBuckets

PROBE_PATHS = frozenset({"/livez", "/readyz"})
"""Never refused: an orchestrator that is told 429 would restart a healthy process."""


class ClientGone(Exception):
    """The client closed the connection before its body was complete."""


class Intake:
    """ASGI middleware; must stand inside Boundary, which gives the request its id."""

    def __init__(
        self, app: ASGIApp, *, max_body_bytes: int, body_timeout_s: float, addresses: TokenBuckets, clock: Clock
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._addresses = addresses
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._charge_address(scope)
            body = await self._read(scope, receive)
        except ClientGone:
            return
        except Problem as problem:
            response = problem_response(problem, scope["state"]["request_id"])
            await response(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _charge_address(self, scope: Scope) -> None:
        if scope["path"] in PROBE_PATHS:
            return
        host, _ = scope.get("client") or ("", 0)
        wait_s = self._addresses.take(address_key(host), self._clock() / 1000)
        if wait_s:
            raise rate_limited(wait_s)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        headers = Headers(scope=scope)
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return b""
        if int(headers.get("content-length", "0")) > self._max_body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._body_timeout_s):
                body = await self._read_counted(receive)
        except TimeoutError:
            detail = f"The body took more than {self._body_timeout_s:g} s."
            raise Problem("body_too_slow", detail, {"Connection": "close"}) from None
        if body:
            _check_json(body, headers.get("content-type", ""))
        return body

    async def _read_counted(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> Problem:
        return Problem("too_large", f"A body has at most {self._max_body_bytes} bytes.", {"Connection": "close"})


def _check_json(body: bytes, content_type: str) -> None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("unsupported_media_type", "Send a body as Content-Type: application/json.")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("invalid_json", f"The body is not JSON: {error.msg} (at character {error.pos}).") from error


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that hands out the body that was read already, then goes on with the real one."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
