"""The conversation list and read markers of one user: /v1/conversations."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from observer.api.auth import Acting, ActingUser
from observer.api.cursors import decode_cursor, encode_cursor, position_of
from observer.api.openapi import of_user
from observer.api.pages import fitting
from observer.api.problems import Problem
from observer.api.services import Services
from observer.api.wire import UserId, WireMessage, json_response, wire_form
from observer.message import peer_of
from observer.store.base import UNREAD_LIMIT, Conversation, Position, Store

router = APIRouter(prefix="/v1/conversations", tags=["Conversations"], responses=of_user())

PeerId = Annotated[UserId, Path(description="The other side of the conversation.")]


class ReadMarker(BaseModel):
    """Up to where the user has read."""

    timestamp: int = Field(description="Milliseconds since 1970.")
    message_id: str


class ConversationAnswer(BaseModel):
    """One conversation as its owner sees it."""

    peer: str = Field(examples=["bob"])
    last_message: WireMessage
    unread: int = Field(description="Messages of the peer behind the read marker.", examples=[2])
    unread_is_capped: bool = Field(description=f"`unread` stops at {UNREAD_LIMIT}: that many or more.")
    read_up_to: ReadMarker | None


class ConversationPage(BaseModel):
    """A piece of the list, newest first."""

    conversations: list[ConversationAnswer]
    next: str | None = Field(description="`before` of the next call; null at the end.")


class Read(BaseModel):
    """What was read: one of the two."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"up_to": 1795272300000}]})

    message_id: str | None = Field(None, max_length=128, description="This message and all before it.")
    up_to: int | None = Field(None, ge=0, le=2**53, description="All up to this time, milliseconds since 1970.")

    @model_validator(mode="after")
    def _names_one(self) -> "Read":
        if (self.message_id is None) == (self.up_to is None):
            raise ValueError("give message_id or up_to, one of them")
        return self


@router.get("", response_model=ConversationPage, responses=of_user("invalid_cursor"))
async def list_conversations(
    services: Services,
    acting: ActingUser,
    before: Annotated[str | None, Query(description="`next` of the previous answer.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """One's conversations, the one with the newest message first."""
    position = None if before is None else decode_cursor(before)
    found = await services.store.conversations(acting.app, acting.user, before=position, limit=limit + 1)
    shown = found[: min(limit, fitting(one.last_message for one in found))]
    after_them = encode_cursor(position_of(shown[-1].last_message)) if len(found) > len(shown) else None
    return json_response({"conversations": [_answer(one) for one in shown], "next": after_them})


@router.get("/{peer}", response_model=ConversationAnswer, responses=of_user("not_found"))
async def get_conversation(services: Services, acting: ActingUser, peer: PeerId) -> Response:
    """One conversation, with its last message and the number of unread ones."""
    return json_response(_answer(await _existing(services.store, acting, peer)))


@router.put("/{peer}/read", response_model=ConversationAnswer, responses=of_user("invalid_json", "not_found"))
async def mark_read(services: Services, acting: ActingUser, peer: PeerId, read: Read) -> Response:
    """Move the read marker forward, and get the conversation as it is then. An older marker changes nothing."""
    conversation = await _existing(services.store, acting, peer)
    await services.store.mark_read(
        acting.app, acting.user, peer, await _marker(services.store, acting, conversation, read)
    )
    return json_response(_answer(await _existing(services.store, acting, peer)))


async def _existing(store: Store, acting: Acting, peer: str) -> Conversation:
    conversation = await store.conversation(acting.app, acting.user, peer)
    if conversation is None:
        raise Problem("not_found", "There is no conversation with this user.")
    return conversation


async def _marker(store: Store, acting: Acting, conversation: Conversation, read: Read) -> Position:
    if read.message_id is None:
        return _marker_at(read.up_to or 0, position_of(conversation.last_message))
    message = await store.find_message(acting.app, acting.user, read.message_id)
    if message is None or peer_of(message, acting.user) != conversation.peer:
        raise Problem("not_found", "There is no such message in this conversation.")
    return position_of(message)


def _marker_at(up_to_ms: int, last: Position) -> Position:
    """Behind every message of that millisecond, but never behind the last message: nothing unseen is ever read."""
    return min(Position(up_to_ms + 1, ""), last)


def _answer(conversation: Conversation) -> dict[str, Any]:
    marker = conversation.read_up_to
    return {
        "peer": conversation.peer,
        "last_message": wire_form(conversation.last_message, conversation.owner),
        "unread": conversation.unread,
        "unread_is_capped": conversation.unread >= UNREAD_LIMIT,
        "read_up_to": None if marker is None else {"timestamp": marker.timestamp_ms, "message_id": marker.message_id},
    }
