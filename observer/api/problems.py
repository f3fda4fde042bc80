"""Every error of the HTTP API, as a problem detail (RFC 9457, `application/problem+json`); docs/api.md, "Errors".

A route raises `Problem`, or lets an error of observer/errors.py pass; the handlers here are the only ones that answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from observer.errors import BrokerUnavailable, InvalidMessage, ObserverError, Refused, Unavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
"""What a client is told when a service does not answer: longer than a broker or store takes to fail over politely."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What all problems of one code have in common."""

    status: int
    title: str


KINDS: Mapping[str, Kind] = {
    "invalid_json": Kind(400, "The body is not JSON"),
    "invalid_cursor": Kind(400, "The cursor is not one of ours"),
    "not_authenticated": Kind(401, "A credential is needed"),
    "invalid_credential": Kind(401, "The credential is not valid"),
    "not_allowed": Kind(403, "The caller may not do this"),
    "banned": Kind(403, "The user is banned"),
    "not_found": Kind(404, "There is nothing here"),
    "method_not_allowed": Kind(405, "The method does not fit the path"),
    "body_too_slow": Kind(408, "The body did not arrive in time"),
    "start_over": Kind(410, "The sync token is no longer good"),
    "too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "The body is not declared as JSON"),
    "invalid_request": Kind(422, "The request is not valid"),
    "invalid_id": Kind(422, "An id is outside the alphabet"),
    "invalid_payload": Kind(422, "The message is not valid"),
    "invalid_client_message_id": Kind(422, "The client message id is not valid"),
    "rate_limited": Kind(429, "Too many requests"),
    "internal_error": Kind(500, "Something went wrong on our side"),
    "busy": Kind(503, "Too many requests at once now"),
    "broker_unavailable": Kind(503, "The broker does not answer now"),
    "store_unavailable": Kind(503, "The store does not answer now"),
    "not_ready": Kind(503, "The observer is not ready"),
}
"""The closed set of codes that clients may switch on."""

_BY_STATUS = {400: "invalid_json", 413: "too_large", 415: "unsupported_media_type"}
"""What FastAPI itself may raise: 400 for JSON that is nested too deep for Python, others in later versions."""


class Problem(ObserverError):
    """The answer that a route gives instead.

    `code` is a key of KINDS, `detail` a sentence for this very request, `extra` further members of the problem object.
    """

    def __init__(
        self, code: str, detail: str, headers: Mapping[str, str] | None = None, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra or {}


def problem_response(problem: Problem, request_id: str) -> Response:
    """The response that tells `problem`; `request_id` finds it again in the log."""
    kind = KINDS[problem.code]
    content = {
        "type": f"urn:inbox-observer:problem:{problem.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": f"urn:uuid:{request_id}",
        "code": problem.code,
        **problem.extra,
    }
    return Response(orjson.dumps(content), kind.status, dict(problem.headers), MEDIA_TYPE)


def rate_limited(wait_s: float) -> Problem:
    """The problem of a caller who has to wait; a whole second at least, since Retry-After has no fractions."""
    seconds = max(1, int(wait_s + 0.999))
    return Problem("rate_limited", f"Wait {seconds} s, then try again.", {"Retry-After": str(seconds)})


def unavailable(code: str, detail: str, extra: Mapping[str, Any] | None = None) -> Problem:
    """The problem of a service that does not answer now."""
    return Problem(code, detail, {"Retry-After": str(RETRY_AFTER_S)}, extra)


def install_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with a problem; what is not named here is a bug and answered by boundary.py."""
    app.add_exception_handler(Problem, _answer)
    app.add_exception_handler(InvalidMessage, _answer)
    app.add_exception_handler(Refused, _answer)
    app.add_exception_handler(Unavailable, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(HTTPException, _answer)


async def _answer(request: Request, error: Exception) -> Response:
    return problem_response(_problem_of(error, request), request.state.request_id)


def _problem_of(error: Exception, request: Request) -> Problem:
    match error:
        case Problem():
            return error
        case InvalidMessage():
            return Problem(error.code if error.code in KINDS else "invalid_request", error.reason)
        case Refused():
            return Problem("not_allowed", str(error))
        case BrokerUnavailable():
            return unavailable("broker_unavailable", "Try the same request again.")
        case Unavailable():
            return unavailable("store_unavailable", "Try the same request again.")
        case RequestValidationError():
            return _invalid_request(error)
        case HTTPException():
            return _http_problem(error, request)
        case _:
            raise error


def _invalid_request(error: RequestValidationError) -> Problem:
    """Where and why, but never the value: it may be a secret in the wrong field."""
    faults = [{"where": ".".join(map(str, one["loc"])), "reason": one["msg"]} for one in error.errors()]
    detail = "; ".join(f"{fault['where']}: {fault['reason']}" for fault in faults[:5])
    return Problem("invalid_request", detail, extra={"errors": faults[:50]})


def _http_problem(error: HTTPException, request: Request) -> Problem:
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            return Problem("not_found", "No route has this path; GET /openapi.json lists them all.", headers)
        case 405:
            return Problem("method_not_allowed", f"{request.method} is not a method of this path.", headers)
        case status:
            return Problem(_BY_STATUS.get(status, "invalid_request"), str(error.detail), headers)
