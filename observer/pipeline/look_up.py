"""Look up: everything that the policies want to know about the submissions of some batches, in one round trip.

One more is made for each shard where messages that have no identity were delivered again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from observer.message import Message, Submission
from observer.pipeline.rates import RateLedger
from observer.store.base import Found, MessageStore, Query
from policies.base import Allowance, Fact, Facts, Relation

REPEATS_AMONG_LAST = 2000
"""How far back a redelivered message without any identity is searched for: further than any prefetch reaches."""
REPEATS_WITHIN_MS = 10_000
"""... and not among what was stored longer than this before the last writer's last message: that was acknowledged, so
an equal text from then is another message. A writer goes on only when its batch is settled."""

NO_ALLOWANCE = Allowance()
NO_RELATION = Relation()


@dataclass(frozen=True, slots=True)
class Asked:
    """What one shard's batch wants to know about."""

    shard: int
    submissions: Sequence[Submission]
    resumed_ms: int
    """The last timestamp of the shard's last writer: what the broker delivers again, he stored at about then."""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What is known about the submissions of the batches that travel together."""

    found: Found
    allowances: Mapping[str, Allowance]
    """message id → what the sender's token bucket said."""
    repeats: Mapping[str, Message]
    """message id of a redelivered submission without identity → the stored message that it repeats."""
    now_ms: int

    def known(self, submission: Submission) -> Message | None:
        """The message as stored, if this submission is one that is stored already."""
        return self.found.messages.get(submission.message_id) or self.repeats.get(submission.message_id)

    def facts(self, submission: Submission) -> Facts:
        """What the policies may know about this submission."""
        app, sender, recipient = submission.app, submission.sender, submission.recipient
        return Facts(
            self.now_ms,
            self.found.bans.get((app, sender)),
            self.allowances.get(submission.message_id, NO_ALLOWANCE),
            self.found.relations.get((app, recipient, sender), NO_RELATION),
            self.found.privacy.get((app, recipient)),
        )


async def look_up(
    store: MessageStore,
    rates: RateLedger,
    asked: Sequence[Asked],
    *,
    needs: frozenset[Fact],
    now_ms: int,
) -> LookedUp:
    """Ask the store, and charge the token buckets. Raises StoreUnavailable."""
    submissions = [one for of_shard in asked for one in of_shard.submissions]
    found = await store.look_up(query_for(submissions, needs))
    repeats: dict[str, Message] = {}
    for of_shard in asked:
        repeats |= await _find_repeats(store, of_shard)
    allowances = {}
    if Fact.RATE in needs:
        now_s = asyncio.get_running_loop().time()
        allowances = {
            one.message_id: rates.charge(one.app, one.sender, one.message_id, now_s)
            for one in submissions
            if one.message_id not in found.messages
        }
    return LookedUp(found, allowances, repeats, now_ms)


def query_for(submissions: Sequence[Submission], needs: frozenset[Fact]) -> Query:
    """What is to be known about them; a fact that no policy reads is not asked for."""
    return Query(
        message_ids={one.message_id for one in submissions},
        senders={(one.app, one.sender) for one in submissions} if Fact.BAN in needs else (),
        recipients={(one.app, one.recipient) for one in submissions} if Fact.PRIVACY in needs else (),
        relations={(one.app, one.recipient, one.sender) for one in submissions} if Fact.RELATION in needs else (),
    )


async def _find_repeats(store: MessageStore, asked: Asked) -> Mapping[str, Message]:
    """Which stored messages the redelivered submissions without identity repeat.

    Each stored message answers for one submission, oldest first: a text sent twice and stored once is stored again.
    """
    unsure = [one for one in asked.submissions if one.is_unsure]
    if not unsure:
        return {}
    wanted = {one.fingerprint for one in unsure if one.fingerprint is not None}
    found = await store.find_repeats(asked.shard, wanted, REPEATS_AMONG_LAST)
    stored = [message for message in found if message.timestamp_ms >= asked.resumed_ms - REPEATS_WITHIN_MS]
    repeats = {}
    for one in unsure:
        match = next((message for message in stored if message.fingerprint == one.fingerprint), None)
        if match is not None:
            stored.remove(match)
            repeats[one.message_id] = match
    return repeats
