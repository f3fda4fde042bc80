"""What became of every message of one step: the load tells it each event, `counts` adds up.

Latency counts from the planned time of a message, not from when it was really sent: a load that is late because the
system stalls must not hide the stall ("coordinated omission").
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_NEVER = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One stretch of load: `count` messages, evenly spaced."""

    run: str
    """Begins the client message id of each of its messages; unlike that of any other step."""
    first: int
    """What its first message is called towards the MQTT client: all messages of a load are numbered through."""
    rate: float
    """Messages a second."""
    count: int
    streams: int
    """Message n belongs to stream n modulo this; a stream is one sender and one recipient."""
    start_s: float
    """When the first one is due, on the monotonic clock."""

    def due_s(self, number: int) -> float:
        """When message `number` is to be sent."""
        return self.start_s + number / self.rate

    @property
    def end_s(self) -> float:
        """When the schedule is over."""
        return self.due_s(self.count)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages of a step did what."""

    planned: int = 0
    sent: int = 0
    acknowledged: int = 0
    delivered: int = 0
    """Copies that reached the recipient, repeats not counted."""
    delivered_in_time: int = 0
    """Those of them that came before the schedule was over."""
    own_copies: int = 0
    """Copies that came back to the sender, repeats not counted."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Refusals told to the senders, by code."""
    lost: int = 0
    """Acknowledged by the broker, not refused, and never delivered to the recipient."""
    own_copies_lost: int = 0
    """The same for the sender's own copy."""
    repeated: int = 0
    """Copies that came again under the same message id: clients drop them."""
    duplicates: int = 0
    """Copies of one message under a second message id: clients would show them twice."""
    out_of_order: int = 0
    """First copies that came behind a later one of the same sender and recipient."""
    strays: int = 0
    """Messages of somebody else or of an earlier step."""


class Tally:
    """The record of one step."""

    def __init__(self, step: Step, *, publish_qos: int) -> None:
        self.step = step
        self.last_event_s = step.start_s
        self._publish_qos = publish_qos
        self._sent_s = _times(step.count)
        self._acknowledged_s = _times(step.count)
        self._delivered_s = _times(step.count)
        self._own_copies_s = _times(step.count)
        self._message_ids: list[str | None] = [None] * step.count
        self._last_of_stream = array("q", [-1]) * step.streams
        self._refused: dict[int, str] = {}
        self._acknowledged = self._delivered = self._own_copies = 0
        self._noted: Counter[str] = Counter()

    def sent(self, number: int, now_s: float) -> None:
        """Message `number` went out."""
        self._sent_s[number] = self.last_event_s = now_s

    def acknowledged(self, number: int, now_s: float) -> None:
        """The broker acknowledged it."""
        self._acknowledged += self._acknowledged_s[number] == _NEVER
        self._acknowledged_s[number] = self.last_event_s = now_s

    def delivered(self, number: int, message_id: str, now_s: float) -> None:
        """A copy reached the recipient."""
        if self._is_first(self._delivered_s, number, message_id, now_s):
            self._delivered += 1
            stream = number % self.step.streams
            if number < self._last_of_stream[stream]:
                self._noted["out_of_order"] += 1
            else:
                self._last_of_stream[stream] = number

    def own_copy(self, number: int, message_id: str, now_s: float) -> None:
        """A copy came back to the sender."""
        if self._is_first(self._own_copies_s, number, message_id, now_s):
            self._own_copies += 1

    def refused(self, number: int, code: str, now_s: float) -> None:
        """The sender was told that it was not accepted."""
        self._refused[number] = code
        self.last_event_s = now_s

    def stray(self) -> None:
        """Something came that is not of this step."""
        self._noted["strays"] += 1

    def is_complete(self) -> bool:
        """Whether nothing more is to come."""
        expected = self.step.count - len(self._refused)
        is_taken_over = not self._publish_qos or self._acknowledged >= self.step.count
        return is_taken_over and self._delivered >= expected and self._own_copies >= expected

    def counts(self) -> Counts:
        """All of it, added up."""
        return Counts(
            planned=self.step.count,
            sent=sum(1 for at in self._sent_s if at != _NEVER),
            acknowledged=self._acknowledged,
            delivered=self._delivered,
            delivered_in_time=sum(1 for at in self._delivered_s if at != _NEVER and at <= self.step.end_s),
            own_copies=self._own_copies,
            refused=dict(Counter(self._refused.values())),
            lost=self._missing(self._delivered_s),
            own_copies_lost=self._missing(self._own_copies_s),
            repeated=self._noted["repeated"],
            duplicates=self._noted["duplicates"],
            out_of_order=self._noted["out_of_order"],
            strays=self._noted["strays"],
        )

    def told(self) -> str:
        """How far it is, for somebody who waits."""
        return f"acknowledged {self._acknowledged}, delivered {self._delivered} of {self.step.count}"

    def lateness_s(self) -> Iterator[float]:
        """How late each message was sent: what the load client itself adds to every latency."""
        return self._since_due(self._sent_s)

    def acknowledgement_s(self) -> Iterator[float]:
        """Planned time to PUBACK."""
        return self._since_due(self._acknowledged_s)

    def delivery_s(self) -> Iterator[float]:
        """Planned time to the recipient."""
        return self._since_due(self._delivered_s)

    def _since_due(self, times: "array[float]") -> Iterator[float]:
        return (at - self.step.due_s(number) for number, at in enumerate(times) if at != _NEVER)

    def _is_first(self, times: "array[float]", number: int, message_id: str, now_s: float) -> bool:
        self.last_event_s = now_s
        known = self._message_ids[number]
        if known is None:
            self._message_ids[number] = message_id
        elif known != message_id:
            self._noted["duplicates"] += 1
            return False
        if times[number] != _NEVER:
            self._noted["repeated"] += 1
            return False
        times[number] = now_s
        return True

    def _missing(self, times: "array[float]") -> int:
        taken_over = self._acknowledged_s if self._publish_qos else self._sent_s
        return sum(
            1
            for number, at in enumerate(times)
            if at == _NEVER and taken_over[number] != _NEVER and number not in self._refused
        )


def _times(count: int) -> "array[float]":
    return array("d", [_NEVER]) * count
