"""What a load client does with what it receives: finds out which message it is, and has it counted."""

from time import monotonic

import orjson

from observer.bench.tally import Tally


class Board:
    """What all inboxes of a load share: the step that is under way, and which connections broke."""

    def __init__(self) -> None:
        self.tally: Tally | None = None
        self.broken: list[str] = []


class Inbox:
    """Listens to one user's connection."""

    def __init__(self, user: str, board: Board) -> None:
        self._user = user
        self._board = board

    def on_message(self, topic: bytes, payload: bytes) -> None:
        """Count a copy or a refusal of the step under way; anything else is a stray."""
        now_s, tally = monotonic(), self._board.tally
        if tally is None:
            return
        told = orjson.loads(payload)
        run, _, number = told.get("client_message_id", "").rpartition("-")
        if run != tally.step.run:
            tally.stray()
        elif topic.endswith(b"/refused"):
            tally.refused(int(number), told["code"], now_s)
        elif told["sender"] == self._user:
            tally.own_copy(int(number), told.get("message_id", number), now_s)
        else:
            tally.delivered(int(number), told.get("message_id", number), now_s)

    def on_acknowledged(self, number: int) -> None:
        """Count a PUBACK, unless it is a late one of an earlier step."""
        tally = self._board.tally
        if tally is not None and 0 <= (own := number - tally.step.first) < tally.step.count:
            tally.acknowledged(own, monotonic())

    def on_closed(self, reason: str) -> None:
        """Note the broken line; what it loses shows in the counts."""
        self._board.broken.append(f"{self._user}: {reason}")
