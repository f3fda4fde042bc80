"""What every route is given: the ports, the options and the clock. Built once by `create_api`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeAlias

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from observer.broker.base import Publisher
from observer.store.base import Store
from observer.token_buckets import TokenBuckets
from observer.tokens.base import Identifier, TokenIssuer
from policies.base import Privacy

Clock: TypeAlias = Callable[[], int]
"""Milliseconds since 1970, UTC."""


class Health(Protocol):
    """What /readyz asks."""

    def reasons(self) -> Sequence[str]:
        """Why not ready, for an operator: a sentence each, without secrets; empty when ready."""
        ...


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """The part of the settings that the HTTP API reads (docs/configuration.md)."""

    mqtt_url: str
    websocket_url: str
    max_body_bytes: int
    rate_capacity: int
    rate_refill_per_s: float
    cors_origins: tuple[str, ...]
    is_metrics_open: bool
    default_privacy: Privacy
    body_timeout_s: float = 20.0
    """How long a request's body may take to arrive."""
    publish_timeout_s: float = 15.0
    """How long a sender waits for the broker's confirm before he is told to try again."""


@dataclass(frozen=True, slots=True)
class ApiServices:
    """Everything that a route may use."""

    store: Store
    publisher: Publisher
    issuer: TokenIssuer
    identifier: Identifier
    health: Health
    options: ApiOptions
    registry: CollectorRegistry
    clock: Clock
    callers: TokenBuckets


# Async, though it awaits nothing: FastAPI would send a plain function to a thread and back, at every request.
async def _services(request: Request) -> ApiServices:
    services: ApiServices = request.app.state.services
    return services


Services = Annotated[ApiServices, Depends(_services)]
