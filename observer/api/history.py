"""GET /v1/conversations/{peer}/messages: the history of one conversation, in pages, both ways."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from observer.api.auth import ActingUser
from observer.api.conversations import PeerId
from observer.api.cursors import decode_cursor, encode_cursor, position_of
from observer.api.openapi import of_user
from observer.api.pages import fitting
from observer.api.problems import Problem
from observer.api.services import Services
from observer.api.wire import WireMessage, json_response, wire_forms

router = APIRouter(prefix="/v1/conversations/{peer}/messages", tags=["Conversations"], responses=of_user())

Cursor = Annotated[str | None, Query(description="A cursor of an earlier answer.")]


class HistoryPage(BaseModel):
    """A piece of the history, oldest first."""

    messages: list[WireMessage]
    previous: str | None = Field(description="`before` for the older ones; null when this is the beginning.")
    next: str | None = Field(description="`after` for the newer ones, also for those still to come.")
    has_more: bool = Field(description="Whether there are more in the direction that was asked for.")


@router.get("", response_model=HistoryPage, responses=of_user("invalid_cursor"))
async def history(
    services: Services,
    acting: ActingUser,
    peer: PeerId,
    before: Cursor = None,
    after: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The newest messages; with `before` those older than it; with `after` those newer.

    A conversation that does not exist has no messages.
    """
    if before is not None and after is not None:
        raise Problem("invalid_request", "Give `before` or `after`, not both.")
    page = await services.store.history(
        acting.app,
        acting.user,
        peer,
        before=None if before is None else decode_cursor(before),
        after=None if after is None else decode_cursor(after),
        limit=limit,
    )
    found = page.messages
    shown = found[len(found) - fitting(reversed(found)) :] if after is None else found[: fitting(found)]
    has_more = page.has_more or len(shown) < len(found)
    cursors = [encode_cursor(position_of(message)) for message in shown[:1] + shown[-1:]]
    first, last = cursors or (None, after)
    is_beginning = after is None and not has_more
    return json_response(
        {
            "messages": wire_forms(shown, acting.user),
            "previous": None if is_beginning else first,
            "next": last,
            "has_more": has_more,
        }
    )
