"""Users who are shut out of the app, for administrators: /v1/bans (docs/api.md, "For administrators")."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from observer.api.auth import Admin
from observer.api.openapi import of_caller
from observer.api.peers import AfterUser, PageLimit
from observer.api.problems import Problem
from observer.api.services import Services
from observer.api.wire import UserId
from observer.store.base import BanEntry
from policies.base import Ban

router = APIRouter(prefix="/v1/bans", tags=["Bans"], responses=of_caller("not_allowed"))

BannedUser = Annotated[UserId, Path(description="The user.")]


class BanRequest(BaseModel):
    """How long, and why."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "spam"}]})

    until: int | None = Field(None, le=2**53, description="Milliseconds since 1970; without end if absent.")
    reason: str = Field("", max_length=500, description="Told to the user with each refusal.")


class BanAnswer(BaseModel):
    """One ban."""

    user: str = Field(examples=["mallory"])
    until: int | None = Field(description="Milliseconds since 1970; null is without end.")
    reason: str
    by: str = Field(description="Name of the API key that did it.")
    since: int = Field(description="Milliseconds since 1970.")


class BanPage(BaseModel):
    """A piece of the list, by user id. Bans that have run out are in it until they are lifted."""

    bans: list[BanAnswer]
    next: str | None = Field(description="`after` of the next call; null at the end.")


@router.get("")
async def list_bans(services: Services, admin: Admin, after: AfterUser = None, limit: PageLimit = 100) -> BanPage:
    """The bans of the app."""
    found = await services.store.bans(admin.app, after=after or "", limit=limit + 1)
    shown = [_answer(entry) for entry in found[:limit]]
    return BanPage(bans=shown, next=shown[-1].user if len(found) > limit else None)


@router.put("/{user}", status_code=204, responses=of_caller("not_allowed", "invalid_json"))
async def ban(services: Services, admin: Admin, user: BannedUser, wanted: BanRequest | None = None) -> None:
    """Shut a user out: his next message is refused, he gets no token, and this API answers him 403.

    A broker connection that he has open goes on receiving until its token expires.
    """
    wanted = wanted or BanRequest()
    now_ms = services.clock()
    if wanted.until is not None and wanted.until <= now_ms:
        raise Problem("invalid_request", f"`until` {wanted.until} is past; it counts milliseconds since 1970.")
    await services.store.set_ban(admin.app, user, Ban(wanted.until, wanted.reason), by=admin.name, now_ms=now_ms)


@router.delete("/{user}", status_code=204, responses=of_caller("not_allowed", "not_found"))
async def lift_ban(services: Services, admin: Admin, user: BannedUser) -> None:
    """Lift a ban; 404 if there is none."""
    if not await services.store.lift_ban(admin.app, user):
        raise Problem("not_found", "This user is not banned.")


def _answer(entry: BanEntry) -> BanAnswer:
    return BanAnswer(
        user=entry.user, until=entry.ban.until_ms, reason=entry.ban.reason, by=entry.by, since=entry.since_ms
    )
