"""Whom a user does not want to hear from: /v1/blocks. It holds for the next message after the call has returned."""

from fastapi import APIRouter

from observer.api.auth import ActingUser
from observer.api.openapi import of_user
from observer.api.peers import AfterUser, OtherUser, PageLimit, UserPage, not_himself, user_page
from observer.api.services import Services

router = APIRouter(prefix="/v1/blocks", tags=["Blocks"], responses=of_user())


@router.get("")
async def list_blocks(
    services: Services, acting: ActingUser, after: AfterUser = None, limit: PageLimit = 100
) -> UserPage:
    """Whom the user has blocked. Nobody can see by whom he is blocked himself."""
    found = await services.store.blocked(acting.app, acting.user, after=after or "", limit=limit + 1)
    return user_page(found, limit)


@router.put("/{peer}", status_code=204)
async def block(services: Services, acting: ActingUser, peer: OtherUser) -> None:
    """Block a user: from the next message on, nothing of his arrives. He is not told, and cannot find out."""
    other = not_himself(acting, peer)
    await services.store.set_blocked(acting.app, acting.user, other, True, services.clock())


@router.delete("/{peer}", status_code=204)
async def unblock(services: Services, acting: ActingUser, peer: OtherUser) -> None:
    """Lift a block. What was sent meanwhile stays unseen."""
    await services.store.set_blocked(acting.app, acting.user, not_himself(acting, peer), False, services.clock())
