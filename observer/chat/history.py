"""What was said while nobody looked, over the HTTP API, and the marker of what was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from observer.chat.access import TIMEOUT_S
from observer.errors import Refused, Unavailable

MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """Some messages, oldest first, and the cursor behind them."""

    messages: Sequence[Mapping[str, Any]]
    cursor: str | None
    read_up_to: tuple[int, str] = (0, "")
    """(timestamp, message id) of the last one that was read before."""


@dataclass(frozen=True, slots=True)
class History:
    """One conversation as the API knows it. Every method raises Unavailable or Refused."""

    api_url: str
    peer: str
    token: str = field(repr=False)

    def latest(self, count: int) -> Piece:
        """The last `count` messages, and more if more are unread."""
        known = self._call("GET", "")
        marker = (known or {}).get("read_up_to") or {"timestamp": 0, "message_id": ""}
        wanted = min(MAX_PAGE, max(count, (known or {}).get("unread", 0)))
        piece = self._page({"limit": wanted}) if wanted else Piece((), None)
        return Piece(piece.messages, piece.cursor, (marker["timestamp"], marker["message_id"]))

    def since(self, cursor: str | None) -> Piece:
        """Everything behind `cursor`; without one, the newest page."""
        messages: list[Mapping[str, Any]] = []
        while True:
            piece = self._page({"limit": MAX_PAGE} | ({"after": cursor} if cursor else {}))
            messages += piece.messages
            if cursor is None or len(piece.messages) < MAX_PAGE:
                return Piece(messages, piece.cursor)
            cursor = piece.cursor

    def mark_read(self, message_id: str) -> None:
        """Up to this message everything was seen."""
        self._call("PUT", "/read", body={"message_id": message_id})

    def _page(self, query: Mapping[str, str | int]) -> Piece:
        told = self._call("GET", "/messages", query=query) or {}
        return Piece(told.get("messages", ()), told.get("next"))

    def _call(
        self, method: str, path: str, *, query: Mapping[str, str | int] | None = None, body: object = None
    ) -> dict[str, Any] | None:
        """The answer, or None where there is no such conversation yet."""
        url = f"{self.api_url}/v1/conversations/{self.peer}{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            answer = httpx.request(method, url, params=query, json=body, headers=headers, timeout=TIMEOUT_S)
            told: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable(f"no answer from {self.api_url}: {error}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise Refused(f"{self.api_url} answers: {told.get('detail') or told.get('title')}")
        return told
