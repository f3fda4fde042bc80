"""The fast lane, fed with the frames that a broker sends; and over a real line that it cuts."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pamqp.body
import pamqp.commands
import pamqp.frame
import pamqp.header
import pytest
import uvloop

from observer.broker import wire
from observer.broker.lane import Lane

Taken = tuple[int, bytes, int]
"""Tag, body, announced size."""


@dataclass
class Heard:
    """What a lane told."""

    deliveries: list[Taken] = field(default_factory=list)
    confirms: list[tuple[int, bool, bool]] = field(default_factory=list)
    losses: list[tuple[int, str]] = field(default_factory=list)

    def deliver(
        self, delivery: wire.Delivery, _headers: Mapping[bytes, wire.HeaderValue], body: bytes, size: int
    ) -> None:
        self.deliveries.append((delivery.tag, body, size))

    def confirm(self, tag: int, multiple: bool, is_ack: bool) -> None:
        self.confirms.append((tag, multiple, is_ack))

    def lose(self, code: int, text: str) -> None:
        self.losses.append((code, text))


def make_lane(heard: Heard, *, max_body: int | None = None, reader: asyncio.StreamReader | None = None) -> Lane:
    return Lane(
        reader or asyncio.StreamReader(),
        wanted_headers=frozenset(),
        on_delivery=heard.deliver,
        on_confirm=heard.confirm,
        on_lost=heard.lose,
        max_body=max_body,
    )


def delivered(tag: int, body: bytes, *, piece: int = 10) -> bytes:
    """A delivery as the broker sends it, its body in frames of `piece` bytes."""
    frames = [
        pamqp.frame.marshal(pamqp.commands.Basic.Deliver("tag", tag, False, "chat.shard", "a.key"), 1),
        pamqp.frame.marshal(pamqp.header.ContentHeader(body_size=len(body)), 1),
    ]
    pieces = (body[at : at + piece] for at in range(0, len(body), piece))
    return b"".join([*frames, *(pamqp.frame.marshal(pamqp.body.ContentBody(one), 1) for one in pieces)])


@pytest.mark.parametrize("chunk", [1, 7, 10_000], ids=lambda size: f"chunks of {size}")
async def test_deliveries_are_put_together_however_the_bytes_arrive(chunk: int) -> None:
    heard = Heard()
    lane = make_lane(heard)
    data = delivered(1, b"") + delivered(2, b"x" * 25) + delivered(3, b"short")
    for at in range(0, len(data), chunk):
        lane.data_received(data[at : at + chunk])
    assert heard.deliveries == [(1, b"", 0), (2, b"x" * 25, 25), (3, b"short", 5)]


async def test_a_body_that_is_too_large_is_not_kept_while_it_comes() -> None:
    """Its size is told, and what follows it is whole."""
    heard = Heard()
    lane = make_lane(heard, max_body=20)
    large = delivered(1, b"x" * 1000)
    lane.data_received(large[:-100])
    assert lane._body == []
    lane.data_received(large[-100:] + delivered(2, b"y" * 20))
    assert heard.deliveries == [(1, b"", 1000), (2, b"y" * 20, 20)]


async def test_confirms_are_told_and_every_other_frame_is_left_to_the_library() -> None:
    heard, reader = Heard(), asyncio.StreamReader()
    lane = make_lane(heard, reader=reader)
    confirms = (pamqp.commands.Basic.Ack(7, multiple=True), pamqp.commands.Basic.Nack(8))
    others = [(pamqp.commands.Connection.Blocked("disk"), 0), (pamqp.commands.Basic.ConsumeOk("tag"), 1)]
    for confirm, (other, channel) in zip(confirms, others, strict=True):
        lane.data_received(pamqp.frame.marshal(confirm, 1) + pamqp.frame.marshal(other, channel))
    reader.feed_eof()

    assert heard.confirms == [(7, True, True), (8, False, False)]
    assert await reader.read() == b"".join(pamqp.frame.marshal(other, channel) for other, channel in others)


async def test_the_library_hears_a_heartbeat_while_the_lane_takes_all_that_comes() -> None:
    """The broker sends none while it sends other things, and the library would hang up on it."""
    reader = asyncio.StreamReader()
    make_lane(Heard(), reader=reader).data_received(delivered(1, b"x"))
    reader.feed_eof()
    assert await reader.read() == wire.HEARTBEAT_FRAME


async def test_a_cancelled_consumer_and_a_closed_channel_are_a_lost_line() -> None:
    heard = Heard()
    lane = make_lane(heard)
    lane.data_received(pamqp.frame.marshal(pamqp.commands.Basic.Cancel("tag"), 1))
    lane.data_received(pamqp.frame.marshal(pamqp.commands.Channel.Close(404, "no queue", 60, 20), 1))
    assert heard.losses == [(0, "the broker cancelled the consumer"), (404, "no queue")]


async def test_a_line_that_the_broker_closes_is_lost_before_anybody_who_waits_on_it_hears_of_it() -> None:
    """Who gives up waiting asks at once with which code it was closed; that it is cut comes later."""
    heard = Heard()
    lane = make_lane(heard)
    lane.data_received(pamqp.frame.marshal(pamqp.commands.Connection.Close(541, "INTERNAL_ERROR", 60, 40), 0))
    assert heard.losses == [(541, "INTERNAL_ERROR")]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    """Each of the loops that the program may run on: their transports are of different classes."""
    made: asyncio.AbstractEventLoop = request.param()
    yield made
    made.close()


def test_a_line_that_is_aborted_is_gone_at_once(loop: asyncio.AbstractEventLoop) -> None:
    async def scenario() -> Heard:
        heard = Heard()
        hung_up, received = asyncio.Event(), bytearray()

        async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                received.extend(await reader.readexactly(5))
                await reader.read()
            except ConnectionError:
                pass
            hung_up.set()
            writer.close()

        async with await asyncio.start_server(peer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            _, lane = await asyncio.get_running_loop().create_connection(lambda: make_lane(heard), "127.0.0.1", port)
            lane.write(b"hello")
            while not received:  # noqa: ASYNC110 - what the other side read is no event of this one
                await asyncio.sleep(0.01)
            lane.abort()
            await hung_up.wait()
        assert received == b"hello"
        return heard

    assert loop.run_until_complete(scenario()).losses == [(0, "the line to the broker was cut")]
