"""Who may write to a user: /v1/privacy. It holds for the next message after the call has returned."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from observer.api.auth import ActingUser
from observer.api.openapi import of_user
from observer.api.services import Services
from policies.base import Privacy, WhoMayWrite

router = APIRouter(prefix="/v1/privacy", tags=["Privacy"], responses=of_user())


class PrivacySettings(BaseModel):
    """A user's choice."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"who_may_write": "contacts"}]})

    who_may_write: WhoMayWrite = Field(description="`everyone`, `contacts` (see /v1/contacts), or `nobody`.")


@router.get("")
async def get_privacy(services: Services, acting: ActingUser) -> PrivacySettings:
    """The user's settings; while he has not chosen, those of the operator (`policies.privacy.who_may_write`)."""
    privacy = await services.store.privacy(acting.app, acting.user) or services.options.default_privacy
    return PrivacySettings(who_may_write=privacy.who_may_write)


@router.put("", responses=of_user("invalid_json"))
async def set_privacy(services: Services, acting: ActingUser, wanted: PrivacySettings) -> PrivacySettings:
    """Replace the user's settings."""
    await services.store.set_privacy(acting.app, acting.user, Privacy(wanted.who_may_write))
    return wanted
