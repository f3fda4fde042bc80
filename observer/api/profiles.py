"""GET /v1/users/{user}/profile: the public profile that the embedding app's JWT carried."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from observer.api.auth import Acting, AnyCaller, refuse_banned
from observer.api.openapi import of_caller
from observer.api.services import Services
from observer.api.wire import UserId

router = APIRouter(prefix="/v1/users", tags=["Profiles"], responses=of_caller("banned"))


class ProfileAnswer(BaseModel):
    """A profile, or none: the answer does not tell whether the user exists."""

    user: str = Field(examples=["bob"])
    profile: Mapping[str, Any] | None = Field(description="The `_public` object of his last JWT.")


@router.get("/{user}/profile")
async def get_profile(
    services: Services, caller: AnyCaller, user: Annotated[UserId, Path(description="Any user of the app.")]
) -> ProfileAnswer:
    """The public profile of a user of one's own app, the same for everyone who asks."""
    if caller.user is not None:
        await refuse_banned(services, Acting(caller.app, caller.user))
    return ProfileAnswer(user=user, profile=await services.store.profile(caller.app, user))
