"""What a policy is: a pure function from a message and looked-up facts to a verdict (docs/policies.md).

A policy sees nothing but `observer.message` and the facts it asks for. It never does I/O and never waits.
One that raises means "not delivered yet": the message is tried again, never let through.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TypeAlias

from observer.message import Submission


class Fact(Enum):
    """What a policy may ask the look-up stage for; all of a batch is fetched in one round trip."""

    BAN = "ban"  # Facts.ban: the sender's ban in the app
    RATE = "rate"  # Facts.allowance: what the sender's token bucket says
    RELATION = "relation"  # Facts.relation: how the recipient stands to the sender
    PRIVACY = "privacy"  # Facts.privacy: whom the recipient has chosen to let write


class WhoMayWrite(StrEnum):
    """A user's choice of who may start writing to him."""

    EVERYONE = "everyone"
    CONTACTS = "contacts"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Ban:
    """A user shut out of a whole app. `until_ms`: the first moment that is free again; None: without end."""

    until_ms: int | None = None
    reason: str = ""

    def is_in_force(self, now_ms: int) -> bool:
        """Whether it has not ended yet."""
        return self.until_ms is None or now_ms < self.until_ms


@dataclass(frozen=True, slots=True)
class Relation:
    """How one user (the owner) stands to another (the peer)."""

    is_blocked: bool = False
    """The owner has blocked the peer."""
    is_contact: bool = False
    """The owner has named the peer as a contact, or has ever written to him."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """A user's choice, or what holds for users who have not chosen."""

    who_may_write: WhoMayWrite


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the sender's token bucket said when this message was charged to it (once a message id)."""

    is_allowed: bool = True
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the policies of one message may know. What no policy asked for keeps its default."""

    now_ms: int
    ban: Ban | None = None
    allowance: Allowance = Allowance()
    relation: Relation = Relation()
    privacy: Privacy | None = None
    """None: the recipient has not chosen."""


@dataclass(frozen=True, slots=True)
class Allow:
    """Nothing against it."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Not delivered, and the sender is not told: to him it looks sent. `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Not accepted, and the sender is told `code` and `reason`; `retry_after_s` where trying again can help."""

    code: str
    reason: str
    retry_after_s: float | None = None


Verdict: TypeAlias = Allow | Drop | Reject
ALLOW = Allow()


class Policy:
    """Base of every policy: allows everything; override the stage that concerns you.

    `name` appears in metrics, logs and configuration; `needs` lists the facts it reads.
    """

    name: str = ""
    needs: frozenset[Fact] = frozenset()

    def on_submit(self, submission: Submission, facts: Facts) -> Verdict:
        """Once a message: may this sender send this at all? Drop here stores it for the sender alone."""
        return ALLOW

    def on_deliver(self, submission: Submission, recipient: str, facts: Facts) -> Verdict:
        """Once a recipient: may this recipient see it? `facts.relation` and `facts.privacy` are the recipient's."""
        return ALLOW
