"""Who is calling, and for which user: what every protected route depends on. The app is always the caller's own."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from observer.api.problems import Problem, rate_limited
from observer.api.services import ApiServices, Services
from observer.errors import Refused
from observer.tokens.base import Caller, CallerRole
from observer.topics import check_id
from policies.base import Ban

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="A broker token of ours, your own app's JWT, or an API key.",
)


@dataclass(frozen=True, slots=True)
class Acting:
    """The user for whom a request is done."""

    app: str
    user: str


Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


async def identify_caller(services: Services, bearer: Bearer) -> Caller:
    """Who calls; raises Problem if nobody can tell, or if he calls too often."""
    if bearer is None:
        raise Problem(
            "not_authenticated",
            "Send Authorization: Bearer <credential>.",
            {"WWW-Authenticate": 'Bearer realm="inbox-observer"'},
        )
    caller = await _identify(services, bearer.credentials)
    wait_s = services.callers.take((caller.app, caller.role, caller.name), services.clock() / 1000)
    if wait_s:
        raise rate_limited(wait_s)
    return caller


async def _identify(services: ApiServices, credential: str) -> Caller:
    try:
        return await services.identifier.identify(credential)
    except Refused as refusal:
        raise Problem(
            "invalid_credential",
            str(refusal),
            {"WWW-Authenticate": 'Bearer realm="inbox-observer", error="invalid_token"'},
        ) from refusal


AnyCaller = Annotated[Caller, Depends(identify_caller)]


async def _acting(
    services: Services,
    caller: AnyCaller,
    acting_for: Annotated[
        str | None,
        Query(alias="user", description="For admin API keys only: the user to act for.", examples=["alice"]),
    ] = None,
) -> Acting:
    acting = Acting(caller.app, user_of(caller, acting_for))
    if caller.role is CallerRole.USER:
        await refuse_banned(services, acting)
    return acting


def user_of(caller: Caller, acting_for: str | None) -> str:
    """The user whose data `caller` may touch: himself, or for an admin whom he names. Raises Problem otherwise."""
    match caller.role:
        case CallerRole.USER if caller.user is not None and acting_for in (None, caller.user):
            return caller.user
        case CallerRole.ADMIN if acting_for is not None:
            return check_id(acting_for)
        case CallerRole.ADMIN:
            raise Problem("invalid_request", "An API key acts for a user: name him with ?user=<id>.")
        case CallerRole.ISSUER:
            raise Problem("not_allowed", "An issuer key gets tokens for users; only an admin key acts for them.")
        case _:
            raise Problem("not_allowed", "A user acts for himself only.")


async def refuse_banned(services: ApiServices, acting: Acting) -> None:
    """Raise Problem if a ban of the user is in force: his credential may outlive it by years."""
    ban = await services.store.ban(acting.app, acting.user)
    if ban is not None and ban.is_in_force(services.clock()):
        raise Problem("banned", "This user is shut out of the app.", extra=_until(ban))


def _until(ban: Ban) -> dict[str, int]:
    return {} if ban.until_ms is None else {"until": ban.until_ms}


ActingUser = Annotated[Acting, Depends(_acting)]


def admin_of(caller: AnyCaller) -> Caller:
    """The caller if he is an administrator of his app; raises Problem if not."""
    if caller.role is not CallerRole.ADMIN:
        raise Problem("not_allowed", "This takes an API key with the role admin.")
    return caller


Admin = Annotated[Caller, Depends(admin_of)]
