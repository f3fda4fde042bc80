"""How a terminal chat gets in: a broker token, made here with the signing key or fetched with an API key."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from observer.errors import Refused, Unavailable
from observer.tokens.base import TokenIssuer

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Entry:
    """Everything that one connection needs."""

    token: str = field(repr=False)
    client_id: str
    username: str
    subscribe: str
    publish: str
    """Topic, with RECIPIENT in it for the other side's user id."""
    mqtt_url: str


Access: TypeAlias = Callable[[], Entry]
"""A fresh Entry, always for the same device. Raises Unavailable or Refused."""


def local_access(issuer: TokenIssuer, app: str, user: str, device: str, mqtt_url: str) -> Access:
    """Tokens signed here: for who has the observer's keys at hand."""

    def enter() -> Entry:
        issued = issuer.issue(app, user, device=device)
        return Entry(issued.token, issued.client_id, issued.username, issued.subscribe, issued.publish, mqtt_url)

    return enter


def api_access(api_url: str, api_key: str, user: str, device: str, mqtt_url: str | None) -> Access:
    """Tokens from `POST /v1/tokens`; the answer also says where the broker is, unless `mqtt_url` does."""

    def enter() -> Entry:
        told = _ask(f"{api_url}/v1/tokens", api_key, {"user": user, "device": device})
        kept = {name: told[name] for name in ("token", "client_id", "username", "subscribe", "publish")}
        return Entry(**kept, mqtt_url=mqtt_url or told["mqtt_url"])

    return enter


def _ask(url: str, api_key: str, body: dict[str, str]) -> dict[str, Any]:
    try:
        answer = httpx.post(
            url, json=body, headers={b"Authorization": b"Bearer " + api_key.encode()}, timeout=TIMEOUT_S
        )
        told: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(f"no answer from {url}: {error}. Is the observer running?") from error
    if answer.is_error:
        raise Refused(f"{url} gives no token: {told.get('detail') or told.get('title')}")
    return told
