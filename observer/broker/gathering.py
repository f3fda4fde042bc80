"""Lets callers that publish at the same moment share one wait for confirms: what HTTP requests send goes this way."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from observer.broker.base import Publisher
from observer.message import Publication


@dataclass(frozen=True, slots=True)
class Request:
    """What one caller publishes, and where he waits for the indexes of those that the broker refused."""

    publications: Sequence[Publication]
    answer: asyncio.Future[Sequence[int]]


class GatheringPublisher:
    """The Publisher port, over another one that takes a batch at a time.

    While a batch is on its way, the next one gathers. A caller that gives up takes nothing back and disturbs nobody.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._waiting: list[Request] = []
        self._sending: asyncio.Task[None] | None = None

    async def publish(self, publications: Sequence[Publication]) -> Sequence[int]:
        """See the port."""
        answer: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Request(publications, answer))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        return await answer

    async def close(self) -> None:
        """Give up what is on its way."""
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending

    async def _send_all(self) -> None:
        while self._waiting:
            requests, self._waiting = self._waiting, []
            try:
                refused = await self._publisher.publish([one for request in requests for one in request.publications])
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
                for request in requests:
                    if not request.answer.done():
                        request.answer.set_exception(error)
            else:
                _share_out(requests, refused)


def _share_out(requests: Sequence[Request], refused: Sequence[int]) -> None:
    start = 0
    for request in requests:
        end = start + len(request.publications)
        if not request.answer.done():  # else the caller did not wait so long
            request.answer.set_result([index - start for index in refused if start <= index < end])
        start = end
