"""POST /v1/messages and GET /v1/messages/{message_id}: sending without MQTT, by the same way and the same rules."""

import asyncio
from typing import Annotated, Any
from uuid import uuid4

import orjson
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from observer import topics
from observer.api.auth import Acting, ActingUser
from observer.api.openapi import of_user
from observer.api.problems import Problem, unavailable
from observer.api.services import ApiServices, Services
from observer.api.wire import UserId, WireMessage, json_response, wire_form
from observer.errors import BrokerUnavailable
from observer.message import MAX_DEPTH, Publication, client_message_id, is_deeper_than, message_id_of

router = APIRouter(prefix="/v1/messages", tags=["Messages"], responses=of_user())

MessageId = Annotated[str, Path(min_length=1, max_length=128, description="As POST /v1/messages answered.")]


class Outbound(BaseModel):
    """A message to send. Fields that are not named here are kept and delivered unchanged."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"recipient": "bob", "text": "Hello", "client_message_id": "a-1"}]},
    )

    recipient: UserId
    text: str | None = None
    type: str | None = None
    attributes: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    client_message_id: str | None = Field(
        None,
        description="Your own name for the message, 1 to 128 printable characters. "
        "The same name is the same message, however often it is sent. Made up if absent.",
    )


class Accepted(BaseModel):
    """The broker has the message; what becomes of it is told later."""

    message_id: str = Field(description="What it is called once it is stored.")
    client_message_id: str
    recipient: str


@router.post("", status_code=202, responses=of_user("invalid_json", "too_large", "broker_unavailable"))
async def send_message(services: Services, acting: ActingUser, outbound: Outbound, response: Response) -> Accepted:
    """Send a message, as MQTT would.

    202 means that the broker has it and that nothing is lost from here on. Policies judge it after that: a refusal
    comes by MQTT, on the topic `refused`; here, GET /v1/messages/{message_id} answers 404 until it is stored.
    After a 503 send it again with the `client_message_id` of the answer: it stays one message.
    """
    body = outbound.model_dump(exclude_unset=True, exclude={"recipient"})
    own_id = client_message_id(body) or str(uuid4())
    publication = _publication(acting, outbound.recipient, body | {"client_message_id": own_id})
    if not await _is_taken(services, publication):
        raise _unconfirmed(own_id)
    message_id = message_id_of(acting.app, acting.user, own_id)
    response.headers["Location"] = f"/v1/messages/{message_id}"
    return Accepted(message_id=message_id, client_message_id=own_id, recipient=outbound.recipient)


async def _is_taken(services: ApiServices, publication: Publication) -> bool:
    """Whether the broker has confirmed the message; waits no longer than a client does."""
    try:
        async with asyncio.timeout(services.options.publish_timeout_s):
            return not await services.publisher.publish([publication])
    except (BrokerUnavailable, TimeoutError):
        return False


def _unconfirmed(own_id: str) -> Problem:
    return unavailable(
        "broker_unavailable",
        "The broker did not confirm the message. Send it again with this client_message_id: it stays one message.",
        {"client_message_id": own_id},
    )


def _publication(acting: Acting, recipient: str, body: dict[str, Any]) -> Publication:
    if is_deeper_than(body, MAX_DEPTH):
        raise Problem("invalid_payload", f"The message nests objects and lists deeper than {MAX_DEPTH} levels.")
    try:
        payload = orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise Problem("invalid_payload", f"The message cannot be written as JSON: {error}.") from error
    return Publication(topics.outgoing(acting.app, acting.user, recipient), payload)


@router.get("/{message_id}", response_model=WireMessage, responses=of_user("not_found"))
async def get_message(services: Services, acting: ActingUser, message_id: MessageId) -> Response:
    """One message of one's own timeline; 404 until it is stored, and for ever if it was refused."""
    message = await services.store.find_message(acting.app, acting.user, message_id)
    if message is None:
        raise Problem("not_found", "No such message in this timeline; it may still be on its way.")
    return json_response(wire_form(message, acting.user))
