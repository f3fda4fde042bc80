"""The API as a test sees it: the real application, store, issuer and identifier; the broker and the clock are ours."""

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx
import jwt
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from observer.api import ApiOptions, create_api
from observer.errors import BrokerUnavailable
from observer.handlers.direct import owners_of
from observer.message import Message, Publication, message_id_of, own_fields
from observer.store.sqlite import SqliteStore
from observer.tokens.base import CallerRole
from observer.tokens.identity import ApiKey, Identities
from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import KeyStore
from observer.tokens.trusted import Issuer
from policies.base import Privacy, WhoMayWrite

APP = "demo"
OTHER_APP = "other"
ISSUER_KEY = "an-issuer-key-made-for-tests"
ADMIN_KEY = "an-admin-key-made-for-tests"
OTHER_ADMIN_KEY = "an-admin-key-of-the-other-app"
SHARED_KEYS = {APP: b"shared-with-the-app-for-these-tests", OTHER_APP: b"shared-with-the-other-app-for-tests"}
SHARDS = 4
OPTIONS = ApiOptions(
    mqtt_url="mqtt://mqtt.test:1883",
    websocket_url="ws://mqtt.test/ws",
    max_body_bytes=131_072,
    rate_capacity=100_000,
    rate_refill_per_s=20.0,
    cors_origins=(),
    is_metrics_open=False,
    default_privacy=Privacy(WhoMayWrite.EVERYONE),
)
"""No test gets near these limits unasked."""


class Broker:
    """Stands in for the publisher: keeps what is published, or fails as told."""

    def __init__(self) -> None:
        self.published: list[Publication] = []
        self.asked = 0
        self.is_down = False
        self.is_full = False
        self.is_silent = False

    async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
        self.asked += 1
        if self.is_down:
            raise BrokerUnavailable("no broker")
        if self.is_silent:
            await asyncio.Event().wait()
        if self.is_full:
            return range(len(publications))
        self.published += publications
        return []


@dataclass
class Clock:
    """A clock that moves when told."""

    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@dataclass
class Health:
    """Ready, or not for these reasons."""

    missing: list[str] = field(default_factory=list)

    def reasons(self) -> Sequence[str]:
        return self.missing


@dataclass
class World:
    """One API on one store."""

    app: FastAPI
    client: httpx.AsyncClient
    store: SqliteStore
    broker: Broker
    clock: Clock
    health: Health
    keys: KeyStore
    tokens: dict[str, str] = field(default_factory=dict)
    """Broker tokens by user: a signature takes longer than a request."""

    def broker_token(self, user: str, *, app: str = APP, is_expired: bool = False) -> str:
        issuer = BrokerTokens(self.keys, ttl_s=60, clock=lambda: time.time() - 3600 if is_expired else time.time())
        return issuer.issue(app, user).token

    def app_jwt(self, user: str, *, app: str = APP, profile: object = None) -> str:
        claims: dict[str, Any] = {"sub": user, "exp": int(time.time()) + 60}
        if profile is not None:
            claims["_public"] = profile
        return jwt.encode(claims, SHARED_KEYS[app], "HS256")

    async def call(
        self, method: str, path: str, *, as_user: str | None = None, key: str | None = None, **request: Any
    ) -> httpx.Response:
        """One request: as a user with a broker token, with `key` as the credential, or with none."""
        if as_user is not None and as_user not in self.tokens:
            self.tokens[as_user] = self.broker_token(as_user)
        credential = self.tokens[as_user] if as_user else key
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        return await self.client.request(method, path, headers=headers | request.pop("headers", {}), **request)

    async def store_message(
        self, sender: str, recipient: str, text: str, *, app: str = APP, is_dropped: bool = False, **fields: Any
    ) -> Message:
        """Put a message into the store as the pipeline does; `is_dropped`: for its sender alone."""
        shard = crc32(f"{sender}.{recipient}".encode()) % SHARDS
        position = await self.store.shard_position(shard)
        own_id = f"{sender}-{recipient}-{text}"
        message = Message(
            message_id=message_id_of(app, sender, own_id),
            app=app,
            sender=sender,
            recipient=recipient,
            body=own_fields({"text": text, "client_message_id": own_id, **fields}),
            timestamp_ms=max(self.clock(), position.timestamp_ms),
            owners=owners_of(sender, recipient, reaches_recipient=not is_dropped),
            shard=shard,
            offset=position.next_offset,
            client_message_id=own_id,
        )
        await self.store.save([message], [])
        self.clock.advance(0.001)
        return message


def build_world(store: SqliteStore, keys: KeyStore, **options: Any) -> World:
    """An API on an open store; `options` override OPTIONS."""
    broker, clock, health = Broker(), Clock(), Health()
    api_keys = [
        ApiKey(name, app, role, hashlib.sha256(key.encode()).hexdigest())
        for name, app, role, key in (
            ("backend", APP, CallerRole.ISSUER, ISSUER_KEY),
            ("support", APP, CallerRole.ADMIN, ADMIN_KEY),
            ("other-support", OTHER_APP, CallerRole.ADMIN, OTHER_ADMIN_KEY),
        )
    ]
    issuers = [Issuer(app, shared_key=shared_key) for app, shared_key in SHARED_KEYS.items()]
    app = create_api(
        store=store,
        publisher=broker,
        issuer=BrokerTokens(keys),
        identifier=Identities(keys, api_keys=api_keys, issuers=issuers),
        health=health,
        options=replace(OPTIONS, **options),
        registry=CollectorRegistry(),
        clock=clock,
    )
    transport = httpx.ASGITransport(app, client=("192.0.2.1", 40_000))
    client = httpx.AsyncClient(transport=transport, base_url="http://api.test")
    return World(app, client, store, broker, clock, health, keys)


def new_store(folder: Path) -> SqliteStore:
    """A store in a fresh file."""
    return SqliteStore(folder / "observer.db")
