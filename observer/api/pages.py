"""How much one answer holds. A page ends at a number of bytes too: what a slow reader has not taken stays in memory."""

from collections.abc import Iterable

from observer.message import Message

MAX_PAGE_BYTES = 524_288


def fitting(messages: Iterable[Message]) -> int:
    """How many of these, from the first on, one answer holds: at least one, if there is one."""
    count, size = 0, 0
    for message in messages:
        size += len(message.body)
        if count and size > MAX_PAGE_BYTES:
            break
        count += 1
    return count
