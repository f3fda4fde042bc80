"""Numbers and dates the messages of one shard: its single writer's memory between two batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from observer.store.base import ShardPosition

Pair = tuple[str, str, str]
"""(app, sender, recipient): what order is promised for."""


@dataclass(slots=True)
class Numbering:
    """Gives offsets without a gap, and timestamps that never go back in the shard and always grow within a pair.

    History is ordered by (timestamp, message id): two messages of one pair in one millisecond would lose their order.
    Work on a `copy` and keep it only once the batch is saved.
    """

    next_offset: int
    timestamp_ms: int
    resumed_ms: int = 0
    """The last timestamp of the writer before this one."""
    last_of_pair: dict[Pair, int] = field(default_factory=dict)
    """Only of pairs whose last timestamp has not passed yet."""

    @classmethod
    def after(cls, position: ShardPosition) -> "Numbering":
        """Go on where the shard's last writer stopped; above his last timestamp, since his pairs are not known."""
        return cls(position.next_offset, position.timestamp_ms + 1, position.timestamp_ms)

    def copy(self) -> "Numbering":
        """An independent copy, to be thrown away if the batch fails."""
        return Numbering(self.next_offset, self.timestamp_ms, self.resumed_ms, dict(self.last_of_pair))

    def begin_batch(self, now_ms: int) -> None:
        """Let time go on; forget pairs that it has passed."""
        self.timestamp_ms = max(self.timestamp_ms, now_ms)
        if self.last_of_pair:
            self.last_of_pair = _not_before(self.last_of_pair, self.timestamp_ms)

    def pass_by(self, offset: int, timestamp_ms: int) -> None:
        """Go on behind a known message that stands where the next one would: a try of ours that was half done.

        One that stands further on must still stop us: what is before it is another writer's.
        """
        if offset == self.next_offset:
            self.next_offset += 1
            self.timestamp_ms = max(self.timestamp_ms, timestamp_ms + 1)

    def take(self, pair: Pair) -> tuple[int, int]:
        """(offset, timestamp) of the next message."""
        offset = self.next_offset
        self.next_offset += 1
        self.timestamp_ms = max(self.timestamp_ms, self.last_of_pair.get(pair, -1) + 1)
        self.last_of_pair[pair] = self.timestamp_ms
        return offset, self.timestamp_ms


def _not_before(last_of_pair: Mapping[Pair, int], timestamp_ms: int) -> dict[Pair, int]:
    return {pair: last_ms for pair, last_ms in last_of_pair.items() if last_ms >= timestamp_ms}
