"""A place: (shard, offset) as one integer of the same order, which is what both stores keep and index."""

from collections.abc import Mapping, Sequence
from typing import Final

_OFFSET_BITS: Final = 40
MAX_OFFSET: Final = (1 << _OFFSET_BITS) - 1
MAX_INTEGER: Final = (1 << 63) - 1  # what a database takes
_MAX_SHARD: Final = MAX_INTEGER >> _OFFSET_BITS


def place_of(shard: int, offset: int) -> int:
    """The place of an offset in a shard."""
    return (shard << _OFFSET_BITS) | offset


def shard_of(place: int) -> int:
    """The shard of a place."""
    return place >> _OFFSET_BITS


def offset_of(place: int) -> int:
    """The offset of a place."""
    return place & MAX_OFFSET


def unseen(after: Mapping[int, int]) -> Sequence[tuple[int, int]]:
    """The spans of places, both ends in, that a reader who has seen these offsets has not seen."""
    spans, first = [], 0
    for shard in sorted(shard for shard in after if 0 <= shard < _MAX_SHARD):
        spans.append((first, place_of(shard, 0) - 1))
        first = place_of(shard, max(-1, min(after[shard], MAX_OFFSET - 1)) + 1)
    spans.append((first, MAX_INTEGER))
    return [(first, last) for first, last in spans if first <= last]
