"""What a direct message means: in whose timelines it is, and which copies go out. Pure.

The copies are those of docs/facts.md, "Chat21 copies".
"""

from collections.abc import Sequence

from observer import topics
from observer.message import Message, Publication, close_copy, open_copy, peer_of, status_for


def owners_of(sender: str, recipient: str, *, reaches_recipient: bool) -> tuple[str, ...]:
    """In whose timelines the message is, the sender's first: a dropped one is in its sender's alone.

    One to oneself is there once: two would be twice the same message in one inbox.
    """
    if sender == recipient or not reaches_recipient:
        return (sender,)
    return (sender, recipient)


def plan_copies(message: Message) -> Sequence[Publication]:
    """A copy for each owner: the sender's (100, sent), then the recipient's (150, delivered)."""
    opened = open_copy(message)
    return [_copy(message, owner, opened) for owner in message.owners]


def plan_echo(message: Message) -> Sequence[Publication]:
    """The sender's copy alone: what he gets for a message that he sent once more."""
    return [_copy(message, message.sender, open_copy(message))]


def _copy(message: Message, owner: str, opened: bytes) -> Publication:
    topic = topics.client_added(message.app, owner, peer_of(message, owner))
    return Publication(topic, close_copy(opened, status_for(message, owner)))
