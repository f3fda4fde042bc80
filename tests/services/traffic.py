"""Steady traffic between pairs of people, and what became of it, in the words of a Jepsen report."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from tests.services.observer import RunningObserver
from tests.services.people import Person

WAIT_S = 90.0


@dataclass(slots=True)
class Traffic:
    """`<n>` from each sender to his recipient, QoS 1, one after the other, until stopped."""

    pairs: Sequence[tuple[Person, Person]]
    has_ids: bool = True
    """Whether the clients name their messages; if not, the observer must know again what it has stored."""
    interval_s: float = 0.005
    attempted: dict[str, list[str]] = field(default_factory=dict)
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Let them write."""
        for sender, recipient in self.pairs:
            self.attempted[sender.user] = []
            self.acknowledged[sender.user] = set()
            thread = threading.Thread(target=self._write, args=(sender, recipient))
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """No more; returns when every message that was handed to the broker has been acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def slowest(self) -> int:
        """How many messages of every sender are acknowledged at least."""
        return min(len(self.acknowledged[sender.user]) for sender, _ in self.pairs)

    def wait_for(self, count: int) -> None:
        """Return once every sender has at least `count` acknowledged messages."""
        for sender, _ in self.pairs:
            done = self.acknowledged[sender.user]
            sender.wait_until(partial(_has, done, count), f"{count} acknowledgements", WAIT_S)

    def _write(self, sender: Person, recipient: Person) -> None:
        number = 0
        while not self._stop.wait(self.interval_s):
            text = str(number)
            self.attempted[sender.user].append(text)
            own_id = {"client_message_id": f"{sender.user}-{text}"} if self.has_ids else {}
            info = sender.send(recipient.user, text, **own_id)
            # Also of a message that the client keeps until it is connected again: paho's own wait gives up on that.
            sender.wait_until(partial(_holds, sender.acknowledged, info.mid), f"the acknowledgement of {text}", WAIT_S)
            sender.acknowledged.discard(info.mid)  # packet ids come round again
            self.acknowledged[sender.user].add(text)
            number += 1


def _holds(packet_ids: set[int], packet_id: int) -> bool:
    return packet_id in packet_ids


def _has(texts: set[str], count: int) -> bool:
    return len(texts) >= count


@contextmanager
def flowing(*pairs: tuple[Person, Person], has_ids: bool = True, interval_s: float = 0.005) -> Iterator[Traffic]:
    """Traffic between these pairs, each (sender, recipient), while the block runs."""
    traffic = Traffic(pairs, has_ids, interval_s)
    traffic.start()
    try:
        yield traffic
    finally:
        traffic.stop()


def without_repeats(person: Person, peer: str) -> list[str]:
    """The texts from `peer` as a client shows them: a message id that it knows is dropped."""
    seen: dict[str, str] = {}
    for one in list(person.inbox):
        if one["sender"] == peer:
            seen.setdefault(one["message_id"], one["text"])
    return list(seen.values())


def stored_texts(observer: RunningObserver, owner: str, peer: str) -> list[str]:
    """The whole history of a conversation, oldest first, as the HTTP API tells it."""
    texts: list[str] = []
    cursor: dict[str, str] = {}
    with observer.api() as client:
        while True:
            params = {"user": owner, "limit": "200", **cursor}
            page = client.get(f"/v1/conversations/{peer}/messages", params=params).raise_for_status().json()
            texts = [one["text"] for one in page["messages"]] + texts
            if not page["previous"]:
                return texts
            cursor = {"before": page["previous"]}


def assert_nothing_lost(observer: RunningObserver, traffic: Traffic) -> None:
    """Promises 1, 3 and 4: what was acknowledged came, and is stored exactly once, in the order sent."""
    for sender, recipient in traffic.pairs:
        acknowledged = [text for text in traffic.attempted[sender.user] if text in traffic.acknowledged[sender.user]]
        _wait_until_quiet(sender, recipient, acknowledged)
        stored = stored_texts(observer, recipient.user, sender.user)
        for what, came in (
            ("stored", stored),
            ("delivered", without_repeats(recipient, sender.user)),
            ("echoed", without_repeats(sender, sender.user)),
        ):
            assert came == acknowledged, account(what, came, acknowledged, stored)


def _wait_until_quiet(sender: Person, recipient: Person, texts: Sequence[str]) -> None:
    """Return once all of it has come, or nothing has come for a while."""
    for person in (sender, recipient):
        count = -1
        while count < len(person.inbox) and not set(texts) <= set(person.texts()):
            count = len(person.inbox)
            with suppress(AssertionError):
                person.wait_for_texts(*texts)


def account(what: str, came: Sequence[str], acknowledged: Sequence[str], stored: Sequence[str]) -> str:
    """How two lists differ that should be the same, as a Jepsen report says it."""
    lost = [text for text in acknowledged if text not in set(came)]
    doubled = [text for text, times in Counter(came).items() if times > 1]
    late = [text for text, before in zip(came[1:], came, strict=False) if int(text) < int(before)]
    return (
        f"acknowledged {len(acknowledged)}, {what} {len(came)}: lost {len(lost)} {lost[:20]} "
        f"(of which stored {len(set(lost) & set(stored))}), twice {len(doubled)} {doubled[:20]}, "
        f"out of order {len(late)} {late[:20]}"
    )
