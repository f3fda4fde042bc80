"""GET /v1/sync: everything that came into one's timeline since a token, whatever the absence (docs/api.md)."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from observer.api.auth import Acting, ActingUser
from observer.api.openapi import of_user
from observer.api.pages import fitting
from observer.api.problems import Problem
from observer.api.services import Services
from observer.api.sync_tokens import Seen, UnusableToken, decode_sync_token, encode_sync_token
from observer.api.wire import WireMessage, json_response, wire_forms
from observer.message import Message
from observer.store.base import Store

router = APIRouter(prefix="/v1/sync", tags=["Sync"], responses=of_user())


class Start(StrEnum):
    """Where a reader without a token begins."""

    BEGINNING = "beginning"
    NOW = "now"


class SyncPage(BaseModel):
    """A piece of a timeline, and the token for the rest."""

    messages: list[WireMessage] = Field(description="By time within the page; drop a `message_id` that you have.")
    next: str = Field(description="Keep it; it is `since` of the next call.")
    has_more: bool = Field(description="Call again at once.")


@router.get("", response_model=SyncPage, responses=of_user("start_over"))
async def sync(
    services: Services,
    acting: ActingUser,
    since: Annotated[str | None, Query(description="`next` of the previous answer.", max_length=20_000)] = None,
    start: Annotated[Start | None, Query(description="Without `since`: everything, or nothing old.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """Everything missed since `since`, in pages.

    410 with code `start_over` means that the token is not good for this store or this user: forget what you cached and
    sync without `since`.
    """
    if since is not None and start is not None:
        raise Problem("invalid_request", "Give `since` or `start`, not both.")
    if start is Start.NOW:
        return _page(acting, await _heads(services.store, acting), (), has_more=False)
    seen = Seen() if since is None else await _seen(services.store, acting, since)
    page = await services.store.timeline(acting.app, acting.user, seen.offsets, limit)
    shown = page.messages[: fitting(page.messages)]
    has_more = page.has_more or len(shown) < len(page.messages)
    return _page(acting, seen.with_messages(shown), shown, has_more=has_more)


async def _seen(store: Store, acting: Acting, since: str) -> Seen:
    try:
        seen = decode_sync_token(since, acting.app, acting.user)
    except UnusableToken as error:
        raise _start_over() from error
    if seen.witness is None:
        return seen
    message = await store.find_message(acting.app, acting.user, seen.witness.message_id)
    if message is None or (message.shard, message.offset) != (seen.witness.shard, seen.witness.offset):
        raise _start_over()
    return seen


async def _heads(store: Store, acting: Acting) -> Seen:
    """As if everything stored had been seen. The last messages are read too: one of them is the token's witness."""
    heads = await store.heads(acting.app, acting.user)
    if not heads:
        return Seen()
    before_heads = {shard: offset - 1 for shard, offset in heads.items()}
    last = await store.timeline(acting.app, acting.user, before_heads, len(heads))
    return Seen(heads).with_messages([one for one in last.messages if one.offset <= heads.get(one.shard, -1)])


def _page(acting: Acting, seen: Seen, messages: tuple[Message, ...], *, has_more: bool) -> Response:
    # Stable, and time never goes back within a shard: the order of a sender's messages to one recipient stays.
    by_time = sorted(messages, key=lambda message: message.timestamp_ms)
    return json_response(
        {
            "messages": wire_forms(by_time, acting.user),
            "next": encode_sync_token(seen, acting.app, acting.user),
            "has_more": has_more,
        }
    )


def _start_over() -> Problem:
    return Problem("start_over", "This sync token is not good here: forget what you cached and sync without `since`.")
