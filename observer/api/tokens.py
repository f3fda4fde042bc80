"""POST /v1/tokens and GET /v1/jwks.json: a broker token for an identity that the embedding app vouches for."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from observer.api.auth import Acting, AnyCaller, refuse_banned
from observer.api.openapi import errors, of_caller
from observer.api.problems import Problem
from observer.api.services import Services
from observer.api.wire import UserId
from observer.tokens.base import Caller, CallerRole, Credential, Profile

router = APIRouter(tags=["Tokens"])
JWKS_MAX_AGE_S = 300


class TokenRequest(BaseModel):
    """What the token shall be for."""

    model_config = ConfigDict(extra="forbid")

    user: UserId | None = Field(None, description="The user; needed with an API key, his own id or none with a JWT.")
    device: str | None = Field(
        None, description="Keep it per device to keep its session; made up, unguessable, if absent.", max_length=64
    )
    profile: Profile = Field(Profile.STANDARD, description="`chat21` for stock Chat21 clients, if it is switched on.")


class TokenAnswer(BaseModel):
    """Everything that a client needs to connect."""

    token: str = Field(description="The MQTT password; also the bearer token of this API.")
    app: str = Field(examples=["demo"])
    user: str = Field(examples=["alice"])
    client_id: str = Field(description="The MQTT client id to connect with.", examples=["demo.alice.phone"])
    username: str = Field(description="The MQTT user name to connect with.")
    subscribe: str = Field(description="The one filter to subscribe to.", examples=["apps/demo/users/alice/#"])
    publish: str = Field(
        description="The topic to publish to, `{recipient}` replaced.",
        examples=["apps/demo/outgoing/users/alice/messages/{recipient}/outgoing"],
    )
    expires_at: int = Field(description="Seconds since 1970, as in a JWT.", examples=[1795275900])
    mqtt_url: str = Field(examples=["mqtt://127.0.0.1:1883"])
    websocket_url: str = Field(examples=["ws://127.0.0.1:15675/ws"])


@router.post("/v1/tokens", status_code=201, responses=of_caller("invalid_json", "not_allowed", "banned"))
async def issue_token(services: Services, caller: AnyCaller, wanted: TokenRequest | None = None) -> TokenAnswer:
    """Get a broker token.

    With the embedding app's own JWT: for oneself. With an API key: for the user that the body names.
    With a broker token of ours: never, so that a ban ends what it is meant to end.
    """
    wanted = wanted or TokenRequest()
    user = _user_for(caller, wanted.user)
    await refuse_banned(services, Acting(caller.app, user))
    issued = services.issuer.issue(caller.app, user, device=wanted.device, profile=wanted.profile)
    if caller.public_profile is not None:
        await services.store.set_profile(caller.app, user, caller.public_profile)
    return TokenAnswer(
        token=issued.token,
        app=issued.app,
        user=issued.user,
        client_id=issued.client_id,
        username=issued.username,
        subscribe=issued.subscribe,
        publish=issued.publish,
        expires_at=issued.expires_at,
        mqtt_url=services.options.mqtt_url,
        websocket_url=services.options.websocket_url,
    )


def _user_for(caller: Caller, wanted: str | None) -> str:
    if caller.role is not CallerRole.USER:
        if wanted is None:
            raise Problem("invalid_request", "An API key names the user of the token: put `user` into the body.")
        return wanted
    if caller.credential is not Credential.ISSUER_JWT:
        raise Problem("not_allowed", "A broker token cannot get another one: show the JWT of your own app.")
    if caller.user is None or wanted not in (None, caller.user):
        raise Problem("not_allowed", "A user gets tokens for himself only.")
    return caller.user


@router.get("/v1/jwks.json", responses=errors())
async def jwks(services: Services, response: Response) -> Mapping[str, Any]:
    """The public keys that our tokens are signed with, as a JWK set. Open to everyone."""
    response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_S}"
    return await services.issuer.jwks()
