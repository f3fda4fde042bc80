"""What /openapi.json says beyond what FastAPI knows: that every error is a problem, and which codes a route has."""

from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from observer.api.problems import KINDS, MEDIA_TYPE

Responses: TypeAlias = dict[int | str, dict[str, Any]]

_EVERYWHERE = ("rate_limited", "internal_error")
_OF_CALLER = ("invalid_credential", "not_authenticated", "invalid_request", "invalid_id", "store_unavailable", "busy")
_OF_USER = ("not_allowed", "banned")
_OF_BODY = ("invalid_json", "body_too_slow", "too_large", "unsupported_media_type", "invalid_payload")
_REFERENCE = {"$ref": "#/components/schemas/ProblemDetail"}


class ProblemDetail(BaseModel):
    """An error (RFC 9457). Switch on `code`; show `detail`; report `instance`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:inbox-observer:problem:start_over"])
    title: str = Field(examples=[KINDS["start_over"].title])
    status: int = Field(examples=[410])
    detail: str = Field(examples=["This sync token is not good here."])
    instance: str = Field(description="Names this very answer, also in the observer's log.")
    code: str = Field(json_schema_extra={"enum": [*sorted(KINDS)]}, examples=["start_over"])
    errors: list[dict[str, str]] | None = Field(None, description="For `invalid_request`: where, and the reason.")
    reasons: list[str] | None = Field(None, description="For `not_ready`: what is missing.")
    client_message_id: str | None = Field(None, description="For a message that was not confirmed: send it again so.")
    until: int | None = Field(None, description="For `banned`: when it ends, milliseconds since 1970.")


def errors(*codes: str) -> Responses:
    """The responses of a route that may answer with these codes, and with those that any route may."""
    if "invalid_json" in codes:
        codes += _OF_BODY
    by_status: dict[int, set[str]] = {}
    for code in (*codes, *_EVERYWHERE):
        by_status.setdefault(KINDS[code].status, set()).add(code)
    return {status: _response(sorted(found)) for status, found in sorted(by_status.items())}


def of_caller(*codes: str) -> Responses:
    """`errors` of a route that needs a credential."""
    return errors(*codes, *_OF_CALLER)


def of_user(*codes: str) -> Responses:
    """`errors` of a route that is about one user's own things."""
    return errors(*codes, *_OF_CALLER, *_OF_USER)


def _response(codes: list[str]) -> dict[str, Any]:
    meaning = "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes)
    return {"description": meaning, "content": {MEDIA_TYPE: {"schema": _REFERENCE}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of `app`."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        summary=app.summary,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDetail"] = ProblemDetail.model_json_schema(ref_template="#/components/schemas/{model}")
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document
