"""What the token part gives to the HTTP API and the command line: who is calling, and a broker token for a user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class CallerRole(StrEnum):
    """What a caller of the HTTP API is."""

    USER = "user"  # one user, acting for himself
    ISSUER = "issuer"  # an embedding app's server: tokens for any user of its app
    ADMIN = "admin"  # that, and bans, and acting for any user of its app


class Credential(StrEnum):
    """What a caller showed."""

    BROKER_TOKEN = "broker_token"  # noqa: S105 (a name, no secret) — one of ours: all of its user, but no other token
    ISSUER_JWT = "issuer_jwt"  # the embedding app's own JWT
    API_KEY = "api_key"


class Profile(StrEnum):
    """What kind of client a token is for."""

    STANDARD = "standard"
    CHAT21 = "chat21"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind a request, after everything about the credential was checked."""

    app: str
    role: CallerRole
    name: str
    """For logs and rate limits: the user id, or the name of the API key."""
    user: str | None = None
    """The user id; None for an API key."""
    public_profile: Mapping[str, Any] | None = None
    """The `_public` object of the embedding app's own JWT, if it had one."""
    credential: Credential = Credential.BROKER_TOKEN
    """What he showed; the default is the weakest. A broker token that could buy the next one would outlive a ban."""


RECIPIENT = "{recipient}"
"""Stands in `IssuedToken.publish` where a client puts the other side's user id."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A broker token with everything a client needs to connect with it."""

    token: str = field(repr=False)
    app: str
    user: str
    client_id: str
    """The MQTT client id to connect with, bound to app and user; of the chat21 profile a random one, not bound."""
    username: str
    """The MQTT user name to connect with; the token is the password."""
    subscribe: str
    """The one topic filter under which everything for this user arrives."""
    publish: str
    """The topic to publish a message to, with RECIPIENT in it."""
    expires_at: int
    """Seconds since 1970, UTC."""
    scopes: Sequence[str]


class TokenIssuer(Protocol):
    """Issues broker tokens."""

    def issue(
        self, app: str, user: str, *, device: str | None = None, profile: Profile = Profile.STANDARD
    ) -> IssuedToken:
        """A token for one user; a device id is made up (unguessable) where none is given.

        Raises InvalidTopic for an id outside the alphabet, Refused for a profile that is off or another app's.
        """
        ...

    async def jwks(self) -> Mapping[str, Any]:
        """The public keys, as a JWK set; empty with HS256."""
        ...


class Identifier(Protocol):
    """Tells who a bearer credential belongs to."""

    async def identify(self, credential: str) -> Caller:
        """Raises Refused, with a text fit for the caller, for anything that does not hold."""
        ...
