"""A list of users that one user keeps: what the answers about blocks and contacts have in common."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel, Field

from observer.api.auth import Acting
from observer.api.problems import Problem
from observer.api.wire import UserId
from observer.store.base import Peer

OtherUser = Annotated[UserId, Path(description="The user to put on the list, or to take off it.")]
AfterUser = Annotated[UserId | None, Query(description="`next` of the previous answer.")]
PageLimit = Annotated[int, Query(ge=1, le=200)]


class ListedUser(BaseModel):
    """One entry."""

    user: str = Field(examples=["bob"])
    since: int = Field(description="Milliseconds since 1970.", examples=[1795272300000])


class UserPage(BaseModel):
    """A piece of the list, by user id."""

    users: list[ListedUser]
    next: str | None = Field(description="`after` of the next call; null at the end.")


def user_page(found: Sequence[Peer], limit: int) -> UserPage:
    """The answer for `found`, which holds one more than `limit` where there is a next page."""
    shown = found[:limit]
    users = [ListedUser(user=peer.user, since=peer.since_ms) for peer in shown]
    return UserPage(users=users, next=shown[-1].user if len(found) > limit else None)


def not_himself(acting: Acting, other: str) -> str:
    """`other`; raises Problem if it is the user himself."""
    if other == acting.user:
        raise Problem("invalid_request", "Nobody stands on his own list.")
    return other
