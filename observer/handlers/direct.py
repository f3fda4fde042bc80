"""What a direct message means: in whose timelines it is, and which copies go out (Chat21 contract, 4.4). Pure."""

from collections.abc import Sequence

from observer import topics
from observer.message import Message, Publication, Status, open_copy


def owners_of(sender: str, recipient: str, *, reaches_recipient: bool) -> tuple[str, ...]:
    """In whose timelines the message is: a dropped one is in its sender's alone."""
    if sender == recipient or not reaches_recipient:
        return (sender,)
    return (sender, recipient)


def plan_copies(message: Message) -> Sequence[Publication]:
    """The sender's copy (100, sent), then the recipient's (150, delivered).

    A message to oneself is one copy: two would be twice the same message in one inbox.
    """
    opened = open_copy(message)
    copies = [_copy(message, message.sender, message.recipient, opened, Status.SENT)]
    if message.recipient in message.owners and message.recipient != message.sender:
        copies.append(_copy(message, message.recipient, message.sender, opened, Status.DELIVERED))
    return copies


def plan_echo(message: Message) -> Sequence[Publication]:
    """The sender's copy alone: what he gets for a message that he sent once more."""
    return [_copy(message, message.sender, message.recipient, open_copy(message), Status.SENT)]


def _copy(message: Message, owner: str, peer: str, opened: bytes, status: Status) -> Publication:
    return Publication(topics.client_added(message.app, owner, peer), opened + b',"status":%d}' % status)
