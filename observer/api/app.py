"""`create_api`: the HTTP API as one ASGI application, given everything that it needs."""

from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from observer.api import (
    bans,
    blocks,
    contacts,
    conversations,
    docs_page,
    health,
    history,
    messages,
    privacy,
    profiles,
    sync,
    tokens,
)
from observer.api.boundary import Boundary
from observer.api.intake import Intake
from observer.api.limits import ADDRESS_FACTOR, MAX_KEYS
from observer.api.openapi import describe
from observer.api.problems import install_handlers
from observer.api.services import ApiOptions, ApiServices, Clock, Health
from observer.api.turns import Turns
from observer.broker.base import Publisher
from observer.store.base import Store
from observer.token_buckets import TokenBuckets
from observer.tokens.base import Identifier, TokenIssuer

DESCRIPTION = """Tokens, sync, history, settings and sending for chat over MQTT.

Send `Authorization: Bearer <credential>`: a broker token of ours, your own app's JWT, or an API key.
The app is always that of the credential. An API key with the role `admin` acts for a user with `?user=<id>`.
Every error is a problem detail (RFC 9457) with a `code` to switch on. A guided tour: docs/api.md.
"""
RESOURCES = (
    tokens,
    messages,
    sync,
    conversations,
    history,
    blocks,
    contacts,
    privacy,
    bans,
    profiles,
    health,
    docs_page,
)


class Api(FastAPI):
    """FastAPI, with an OpenAPI document that tells of our errors."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def create_api(
    *,
    store: Store,
    publisher: Publisher,
    issuer: TokenIssuer,
    identifier: Identifier,
    health: Health,
    options: ApiOptions,
    registry: CollectorRegistry,
    clock: Clock,
) -> FastAPI:
    """The HTTP API. Opens and closes nothing: that is the caller's."""
    app = Api(
        title="inbox-observer",
        summary="Self-hosted one-to-one chat over MQTT.",
        description=DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=_layers(options, clock),
    )
    callers = _buckets(options)
    app.state.services = ApiServices(
        store, publisher, issuer, identifier, health, options, registry=registry, clock=clock, callers=callers
    )
    install_handlers(app)
    for resource in RESOURCES:
        app.include_router(resource.router)
    return app


def _layers(options: ApiOptions, clock: Clock) -> list[Middleware]:
    """Outermost first."""
    intake = Middleware(
        Intake,
        max_body_bytes=options.max_body_bytes,
        body_timeout_s=options.body_timeout_s,
        addresses=_buckets(options, factor=ADDRESS_FACTOR),
        clock=clock,
    )
    return [*_cors(options), Middleware(Boundary), intake, Middleware(Turns)]


def _buckets(options: ApiOptions, *, factor: int = 1) -> TokenBuckets:
    return TokenBuckets(
        capacity=options.rate_capacity * factor, refill_per_s=options.rate_refill_per_s * factor, max_keys=MAX_KEYS
    )


def _cors(options: ApiOptions) -> list[Middleware]:
    if not options.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=options.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Location", "Retry-After", "X-Request-Id"],
            max_age=600,
        )
    ]
