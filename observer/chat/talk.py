"""What one user's terminal knows of a conversation: what was shown, and what he sent that is not accepted yet.

No I/O: every method takes what came and returns the line to show, or None.
"""

import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

MARK = "✓"
MAX_SHOWN = 2000


class Talk:
    """`user` talking to `peer`."""

    def __init__(self, user: str, peer: str) -> None:
        self.user = user
        self.peer = peer
        self.pending: dict[str, str] = {}
        """client message id → text of what was sent and not accepted yet."""
        self.refused = 0
        self.last_read: str | None = None
        """Id of the last message of this conversation that was shown."""
        self._shown: set[str] = set()

    def compose(self, text: str) -> bytes:
        """The payload of a new message; it is pending from now on."""
        client_message_id = str(uuid4())
        self.pending[client_message_id] = text
        return json.dumps({"text": text, "type": "text", "client_message_id": client_message_id}).encode()

    def take(self, copy: Mapping[str, Any]) -> str | None:
        """A message that came live or from the history; None if it was shown before."""
        if copy["message_id"] in self._shown:
            return None
        self._shown.add(copy["message_id"])
        self.pending.pop(copy.get("client_message_id") or "", None)
        is_own = copy["sender"] == self.user
        other = copy["recipient"] if is_own else copy["sender"]
        if other == self.peer:
            self.last_read = copy["message_id"]
        where = "" if other == self.peer else f" (to {other})" if is_own else f" (to answer: --to {other})"
        return f"{clock(copy['timestamp'])} {copy['sender']}{where}: {content(copy)}{' ' + MARK if is_own else ''}"

    def take_refusal(self, refusal: Mapping[str, Any]) -> str:
        """A message of ours that was not accepted."""
        self.refused += 1
        text = self.pending.pop(refusal.get("client_message_id") or "", None)
        what = "" if text is None else f": {printable(text)}"
        again = f"; try again in {refusal['retry_after_s']:g} s" if "retry_after_s" in refusal else ""
        return f"✗ not sent{what}\n  {printable(str(refusal.get('reason')))} ({refusal.get('code')}){again}"


def content(copy: Mapping[str, Any]) -> str:
    """What a terminal can show of a message."""
    text, kind = copy.get("text"), copy.get("type")
    shown = printable(text) if isinstance(text, str) else ""
    return shown if kind in ("text", None) else f"[{printable(str(kind))}] {shown}"


def printable(text: str) -> str:
    """`text` without anything that could steer a terminal: somebody else wrote it."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:MAX_SHOWN])
    return shown + ("…" if len(text) > MAX_SHOWN else "")


def clock(timestamp_ms: int) -> str:
    """The time of day; the day too, if it was not today."""
    then, now = time.localtime(timestamp_ms / 1000), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M", then)
