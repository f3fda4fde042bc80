"""How a stored message looks over HTTP: the JSON of its inbox copy, as MQTT brings it, and `peer`."""

from collections.abc import Iterable
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import Response

from observer.message import Message, encode_copy, peer_of
from observer.topics import check_id

UserId = Annotated[
    str,
    AfterValidator(check_id),
    Field(
        description="1 to 64 characters of A-Z a-z 0-9 _ -",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]{1,64}$"},
        examples=["bob"],
    ),
]


class WireMessage(BaseModel):
    """One message as its reader sees it. Fields of the sender's that are not named here come along unchanged."""

    model_config = ConfigDict(extra="allow")

    message_id: str = Field(examples=["5f0c1f8e-3b0e-8d9d-8c55-1f6f3a1f2b4c"])
    sender: str = Field(examples=["alice"])
    recipient: str = Field(examples=["bob"])
    peer: str = Field(description="The other side of the conversation.", examples=["alice"])
    app_id: str = Field(examples=["demo"])
    timestamp: int = Field(description="Server time, milliseconds since 1970.", examples=[1795272300000])
    status: int = Field(description="100 for what the reader sent, 150 for what he received.", examples=[150])
    client_timestamp: int | None = Field(None, description="The sender's own `timestamp`, if he gave one.")
    client_message_id: str | None = Field(None, description="The sender's own name for the message.")
    text: str | None = Field(None, examples=["Hello"])
    type: str | None = Field(None, examples=["text"])
    attributes: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


def wire_form(message: Message, owner: str) -> dict[str, Any]:
    """`message` as `owner` sees it."""
    copy: dict[str, Any] = orjson.loads(encode_copy(message, owner))
    return {**copy, "peer": peer_of(message, owner)}


def wire_forms(messages: Iterable[Message], owner: str) -> list[dict[str, Any]]:
    """`wire_form` of each, in order."""
    return [wire_form(message, owner) for message in messages]


def json_response(content: Any) -> Response:
    """A 200 of JSON that holds messages: they were checked when they came in, so no model looks at them again."""
    return Response(orjson.dumps(content), media_type="application/json")
