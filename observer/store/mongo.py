"""The store in MongoDB: for production, and for several processes (docs/storage.md)."""

import warnings
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.errors import ConfigurationError, OperationFailure
from pymongo.read_concern import ReadConcern

from observer.errors import ConfigError, StoreUnavailable
from observer.message import Message
from observer.store import mongo_look_up, mongo_read, mongo_save, mongo_settings
from observer.store.base import BanEntry, Conversation, Found, Page, Peer, Position, Query, ShardPosition
from observer.store.mongo_calls import patiently
from observer.store.mongo_documents import Document
from observer.store.mongo_schema import Collections, Database, collections_of, migrate
from policies.base import Ban, Privacy

P = ParamSpec("P")
T = TypeVar("T")
_URL_RULE = (
    "store.url is no MongoDB URL (value not shown): it must be mongodb://user:password@host:port/database?name=value. "
    "In user and password write @ as %40, : as %3A, / as %2F and % as %25; the options and their values must be those "
    "that PyMongo knows; mongodb+srv:// takes one host name and no port"
)
_MAY_NOT = (13, 18, 8000)  # Unauthorized, AuthenticationFailed, and Atlas' word for the latter
_LOG_IN_RULE = "a user that was made in the database admin needs ?authSource=admin"


class MongoStore:
    """`observer.store.base.Store` on a MongoDB database."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._client: AsyncMongoClient[Document] | None = None
        self._collections: Collections | None = None

    async def open(self) -> None:
        """Connect, bring the data to this version, make the indexes.

        Raises ConfigError for a bad URL, a refused log-in, newer data, a foreign index; StoreUnavailable if no server
        answers.
        """
        self._client = self._connect()
        database = self._database(self._client)
        try:
            await patiently(lambda: migrate(database), max(60.0, self._timeout_s))  # an index may take a while to build
        except StoreUnavailable as error:
            await self.close()
            cause = error.__cause__
            if isinstance(cause, OperationFailure) and cause.code in _MAY_NOT:
                raise ConfigError(
                    f"store.url: MongoDB refuses the user or password ({cause}); {_LOG_IN_RULE}"
                ) from cause
            raise
        except ConfigError:
            await self.close()
            raise
        self._collections = collections_of(database)

    def _connect(self) -> AsyncMongoClient[Document]:
        timeout_ms = int(self._timeout_s * 1000)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # an option, or its value, that would be passed over
                return AsyncMongoClient(
                    self._url,
                    serverSelectionTimeoutMS=timeout_ms,
                    connectTimeoutMS=timeout_ms,
                    socketTimeoutMS=timeout_ms,
                    appname="inbox-observer",
                )
        # PyMongo's own words repeat pieces of the URL, and a piece may be of a password that is not escaped.
        except OSError as error:
            raise ConfigError(f"store.url: a file that an option names cannot be read: {error.strerror}") from None
        except (ConfigurationError, ValueError, UserWarning):
            raise ConfigError(_URL_RULE) from None

    def _database(self, client: AsyncMongoClient[Document]) -> Database:
        try:
            return client.get_default_database(
                # What is acknowledged to a sender must outlive the loss of a server: on the disk of a majority.
                write_concern=WriteConcern(w="majority", j=True, wtimeout=int(self._timeout_s * 1000)),
                # Only what can no longer be rolled back is read, and at the primary, where a setting that was just
                # saved is seen at once: what is known as stored is not stored again.
                read_concern=ReadConcern("majority"),
                read_preference=ReadPreference.PRIMARY,
            )
        except ConfigurationError as error:
            raise ConfigError("store.url names no database: end it with /name, as in mongodb://host/chat") from error

    async def close(self) -> None:
        """Let go of the server."""
        client, self._client, self._collections = self._client, None, None
        if client is not None:
            await client.close()

    async def ping(self) -> None:
        """Return once something was written on the majority."""
        await self._do(_write_ping)

    async def _do(
        self, function: Callable[Concatenate[Collections, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        collections = self._collections
        if collections is None:
            raise StoreUnavailable("the MongoDB store is not open")
        return await patiently(lambda: function(collections, *args, **kwargs), self._timeout_s)

    # What the pipeline needs.

    async def shard_position(self, shard: int) -> ShardPosition:
        """See MessageStore."""
        return await self._do(mongo_look_up.shard_position, shard)

    async def look_up(self, query: Query) -> Found:
        """See MessageStore."""
        return await self._do(mongo_look_up.look_up, query)

    async def find_repeats(self, shard: int, fingerprints: Collection[str], among_last: int) -> Sequence[Message]:
        """See MessageStore."""
        return await self._do(mongo_look_up.find_repeats, shard, fingerprints, among_last)

    async def save(self, messages: Sequence[Message], known: Sequence[Message]) -> None:
        """See MessageStore."""
        await self._do(mongo_save.save, messages, known)

    # Reading what is one user's.

    async def timeline(self, app: str, owner: str, after: Mapping[int, int], limit: int) -> Page:
        """See Store."""
        return await self._do(mongo_read.timeline, app, owner, after, limit)

    async def heads(self, app: str, owner: str) -> Mapping[int, int]:
        """See Store."""
        return await self._do(mongo_read.heads, app, owner)

    async def history(
        self, app: str, owner: str, peer: str, *, before: Position | None, after: Position | None, limit: int
    ) -> Page:
        """See Store."""
        return await self._do(mongo_read.history, app, owner, peer, before=before, after=after, limit=limit)

    async def find_message(self, app: str, owner: str, message_id: str) -> Message | None:
        """See Store."""
        return await self._do(mongo_read.find_message, app, owner, message_id)

    async def conversations(
        self, app: str, owner: str, *, before: Position | None, limit: int
    ) -> Sequence[Conversation]:
        """See Store."""
        return await self._do(mongo_read.conversations, app, owner, before=before, limit=limit)

    async def conversation(self, app: str, owner: str, peer: str) -> Conversation | None:
        """See Store."""
        return await self._do(mongo_read.conversation, app, owner, peer)

    async def mark_read(self, app: str, owner: str, peer: str, up_to: Position) -> None:
        """See Store."""
        await self._do(mongo_save.mark_read, app, owner, peer, up_to)

    # Settings.

    async def set_blocked(self, app: str, owner: str, peer: str, is_blocked: bool, now_ms: int) -> None:
        """See Store."""
        await self._do(mongo_settings.set_blocked, app, owner, peer, is_blocked, now_ms)

    async def blocked(self, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
        """See Store."""
        return await self._do(mongo_settings.blocked, app, owner, after=after, limit=limit)

    async def set_contact(self, app: str, owner: str, peer: str, is_contact: bool, now_ms: int) -> None:
        """See Store."""
        await self._do(mongo_settings.set_contact, app, owner, peer, is_contact, now_ms)

    async def contacts(self, app: str, owner: str, *, after: str, limit: int) -> Sequence[Peer]:
        """See Store."""
        return await self._do(mongo_settings.contacts, app, owner, after=after, limit=limit)

    async def privacy(self, app: str, user: str) -> Privacy | None:
        """See Store."""
        return await self._do(mongo_settings.privacy, app, user)

    async def set_privacy(self, app: str, user: str, privacy: Privacy) -> None:
        """See Store."""
        await self._do(mongo_settings.set_privacy, app, user, privacy)

    async def set_ban(self, app: str, user: str, ban: Ban, *, by: str, now_ms: int) -> None:
        """See Store."""
        await self._do(mongo_settings.set_ban, app, user, ban, by=by, now_ms=now_ms)

    async def lift_ban(self, app: str, user: str) -> bool:
        """See Store."""
        return await self._do(mongo_settings.lift_ban, app, user)

    async def ban(self, app: str, user: str) -> Ban | None:
        """See Store."""
        return await self._do(mongo_settings.ban, app, user)

    async def bans(self, app: str, *, after: str, limit: int) -> Sequence[BanEntry]:
        """See Store."""
        return await self._do(mongo_settings.bans, app, after=after, limit=limit)

    async def profile(self, app: str, user: str) -> Mapping[str, Any] | None:
        """See Store."""
        return await self._do(mongo_settings.profile, app, user)

    async def set_profile(self, app: str, user: str, profile: Mapping[str, Any]) -> None:
        """See Store."""
        await self._do(mongo_settings.set_profile, app, user, profile)


async def _write_ping(collections: Collections) -> None:
    await collections.schema.update_one({"_id": "version"}, {"$currentDate": {"pinged": True}})
