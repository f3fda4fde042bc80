"""Whom a user counts as a contact: /v1/contacts. With privacy `contacts`, these alone may write to him."""

from fastapi import APIRouter

from observer.api.auth import ActingUser
from observer.api.openapi import of_user
from observer.api.peers import AfterUser, OtherUser, PageLimit, UserPage, not_himself, user_page
from observer.api.services import Services

router = APIRouter(prefix="/v1/contacts", tags=["Contacts"], responses=of_user())


@router.get("")
async def list_contacts(
    services: Services, acting: ActingUser, after: AfterUser = None, limit: PageLimit = 100
) -> UserPage:
    """Whom the user has named, or has written to."""
    found = await services.store.contacts(acting.app, acting.user, after=after or "", limit=limit + 1)
    return user_page(found, limit)


@router.put("/{peer}", status_code=204)
async def add_contact(services: Services, acting: ActingUser, peer: OtherUser) -> None:
    """Name a contact."""
    await services.store.set_contact(acting.app, acting.user, not_himself(acting, peer), True, services.clock())


@router.delete("/{peer}", status_code=204)
async def remove_contact(services: Services, acting: ActingUser, peer: OtherUser) -> None:
    """Un-name a contact, and forget that the user ever wrote to him; the next message makes him one again."""
    await services.store.set_contact(acting.app, acting.user, not_himself(acting, peer), False, services.clock())
