"""Who writes to whom in a benchmark, on which topics and with what payload."""

from dataclasses import dataclass

import orjson

from observer import topics
from observer.bench import packets

MIN_PAYLOAD_BYTES = 100
RUN_LENGTH = 8
_ID_BYTES = RUN_LENGTH + len("-0000000")


@dataclass(frozen=True, slots=True)
class Stream:
    """One sender and one recipient."""

    sender: int
    """Place of the sender's client in the list of `users`."""
    topics: tuple[bytes, ...]
    """Where each message is published, ready for the wire: the outgoing topic, or (bare) both inboxes."""
    head: bytes
    tail: bytes

    def payload(self, run: str, number: int) -> bytes:
        """The JSON of message `number`; its client message id is `<run>-<number>`."""
        return b"%s%s-%07d%s" % (self.head, run.encode(), number, self.tail)


def users(pairs: int) -> list[str]:
    """The users of so many pairs: pair p is at 2p and 2p + 1. The same ones in each run, so that runs pile up less."""
    return [f"bench-{pair}-{side}" for pair in range(pairs) for side in "ab"]


def streams(app: str, pairs: int, *, both_ways: bool, payload_bytes: int, is_bare: bool) -> list[Stream]:
    """A stream for each pair, and with `both_ways` one for each answer.

    `is_bare`: there is no observer; the sender himself writes the copies into both inboxes.
    """
    names = users(pairs)
    ways = [(2 * pair, 2 * pair + 1) for pair in range(pairs)]
    if both_ways:
        ways += [(recipient, sender) for sender, recipient in ways]
    build = _bare if is_bare else _through_observer
    return [build(app, sender, names[sender], names[recipient], payload_bytes) for sender, recipient in ways]


def _through_observer(app: str, place: int, sender: str, recipient: str, payload_bytes: int) -> Stream:
    head, tail = _payload({}, payload_bytes)
    return Stream(place, (_wire(topics.outgoing(app, sender, recipient)),), head, tail)


def _bare(app: str, place: int, sender: str, recipient: str, payload_bytes: int) -> Stream:
    stamped = {"sender": sender, "recipient": recipient, "app_id": app, "timestamp": 1_700_000_000_000, "status": 150}
    head, tail = _payload(stamped, payload_bytes)
    inboxes = (_wire(topics.client_added(app, recipient, sender)), _wire(topics.client_added(app, sender, recipient)))
    return Stream(place, inboxes, head, tail)


def _payload(stamped: dict[str, object], payload_bytes: int) -> tuple[bytes, bytes]:
    """Head and tail around `<run>-<number>`. The stamp comes on top of `payload_bytes`, as the observer's does."""
    head = b'{"client_message_id":"'
    own = b'","type":"text","text":"'
    padding = b"x" * (payload_bytes - len(head) - _ID_BYTES - len(own) - len(b'"}'))
    stamp = orjson.dumps(stamped)[1:-1]
    return head, own + padding + b'"' + (b"," + stamp if stamped else b"") + b"}"


def _wire(routing_key: str) -> bytes:
    return packets.text(topics.mqtt(routing_key).encode())
