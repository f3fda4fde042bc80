"""One connection to publish on, and which of its publications the broker has answered for."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

from observer.broker import wire
from observer.broker.connect import BrokerOptions, Line, connect
from observer.broker.lane import CHANNEL
from observer.errors import BrokerUnavailable
from observer.message import Publication


class Confirms:
    """Which publications of one batch the broker has answered for. Tags count from `first`."""

    def __init__(self, first: int, count: int, done: asyncio.Future[None]) -> None:
        self._first = first
        self._is_open = bytearray(b"\x01") * count
        self.open_count = count
        self._lowest = 0
        self._done = done
        self.refused: list[int] = []

    def note(self, tag: int, multiple: bool, is_ack: bool) -> None:
        """Take one basic.ack or basic.nack into account."""
        last = tag - self._first
        for index in range(self._lowest, last + 1) if multiple else (last,):
            if 0 <= index < len(self._is_open) and self._is_open[index]:
                self._is_open[index] = 0
                self.open_count -= 1
                if not is_ack:
                    self.refused.append(index)
        if multiple:
            self._lowest = max(self._lowest, last + 1)
        if self.open_count == 0 and not self._done.done():
            self._done.set_result(None)


class PublishingLine:
    """A line in confirm mode. Good for one batch at a time, and for nothing once it is lost."""

    def __init__(self, options: BrokerOptions) -> None:
        self._options = options
        self._line: Line | None = None
        self._next_tag = 1
        self._confirms: Confirms | None = None
        self._answered: asyncio.Future[None] | None = None
        self._lost: str | None = None

    @classmethod
    async def open(cls, options: BrokerOptions, name: str) -> Self:
        """Raises BrokerUnavailable."""
        opened = cls(options)
        opened._line = await connect(
            options, name, on_confirm=opened._note_confirm, on_lost=opened._note_lost, confirms=True
        )
        return opened

    @property
    def is_lost(self) -> bool:
        """Whether the broker or the network ended it."""
        return self._lost is not None

    async def send(
        self, exchange: str, publications: Sequence[Publication], headers: Mapping[str, wire.HeaderValue] | None
    ) -> Sequence[int]:
        """Publish, wait for all answers, and return the indexes of the refused ones, in order.

        Raises BrokerUnavailable; and whatever it raises, this line is of no more use: an answer that comes later would
        be taken for one to the next batch.
        """
        if self._line is None or self._lost is not None:
            raise BrokerUnavailable(f"the publishing connection is closed: {self._lost}")
        frame_max = self._line.frame_max
        frames = [
            wire.encode_publish(CHANNEL, exchange, one.routing_key, one.body, frame_max=frame_max, headers=headers)
            for one in publications
        ]
        self._answered = asyncio.get_running_loop().create_future()
        confirms = self._confirms = Confirms(self._next_tag, len(publications), self._answered)
        self._next_tag += len(publications)
        try:
            self._line.write(b"".join(frames))
            await self._until_answered(confirms, self._answered)
        finally:
            self._answered.cancel()  # nobody waits for it any more
        return sorted(confirms.refused)

    async def _until_answered(self, confirms: Confirms, answered: asyncio.Future[None]) -> None:
        """A large batch on a slow line takes its time: it is lost when no answer comes, not when the last is late."""
        patience_s, still_open = self._options.confirm_timeout_s, -1
        while not answered.done():
            if confirms.open_count == still_open:
                raise BrokerUnavailable(f"no publisher confirm within {patience_s} s")
            still_open = confirms.open_count
            await asyncio.wait([answered], timeout=patience_s)
        await answered

    async def close(self) -> None:
        """Say goodbye."""
        if self._line is not None:
            await self._line.close()

    def _note_confirm(self, tag: int, multiple: bool, is_ack: bool) -> None:
        if self._confirms is not None:
            self._confirms.note(tag, multiple, is_ack)

    def _note_lost(self, code: int, text: str) -> None:
        self._lost = f"{code} {text}"
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(
                BrokerUnavailable(f"the broker closed the publishing connection: {code} {text}")
            )
