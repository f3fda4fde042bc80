"""Judge: from submissions and facts to a plan of everything that the batch does. Pure: no waiting, no I/O."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from observer import topics
from observer.handlers import direct
from observer.message import (
    Message,
    Publication,
    Refusal,
    Submission,
    client_timestamp,
    encode_refusal,
    own_fields,
)
from observer.pipeline.look_up import LookedUp
from observer.pipeline.numbering import Numbering
from policies.base import Drop, Reject
from policies.chain import ALLOWED, Judgement, PolicyChain, PolicyFailed


@dataclass(slots=True)
class Plan:
    """What the later stages will do. An index is a submission's place in the batch."""

    messages: list[Message] = field(default_factory=list)
    """New ones, to be stored in this order."""
    known: list[Message] = field(default_factory=list)
    """Stored by an earlier try that did not end; their conversations are made sure of."""
    publications: list[Publication] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    """For each publication, the index of the submission that it comes from."""
    failed: dict[int, PolicyFailed] = field(default_factory=dict)
    """Submissions that could not be judged: index → why."""
    judgements: list[Judgement] = field(default_factory=list)
    """One for each submission that was judged."""
    repeated: int = 0
    """Submissions that are stored already."""
    refusals: Counter[str] = field(default_factory=Counter)
    """code → how many senders are told it."""

    def publish(self, index: int, publications: Iterable[Publication]) -> None:
        """Add what submission `index` causes to be published."""
        for publication in publications:
            self.publications.append(publication)
            self.sources.append(index)

    def refuse(self, index: int, refusal: Refusal) -> None:
        """Add the answer that tells a sender why."""
        self.refusals[refusal.code] += 1
        self.publish(index, (Publication(topics.refused(refusal.app, refusal.sender), encode_refusal(refusal)),))


def judge(
    plan: Plan,
    submissions: Sequence[tuple[int, Submission]],
    looked_up: LookedUp,
    policies: PolicyChain,
    numbering: Numbering,
    shard: int,
    planned: dict[str, Message],
    *,
    is_repeat: bool = False,
) -> None:
    """Add to `plan` what becomes of each submission. `numbering` moves on with every message that is to be stored.

    `planned` holds the new messages of all batches that travel together, by id; those of this one are added.
    `is_repeat`: an earlier try at all of these may have been half done.
    """
    numbering.begin_batch(looked_up.now_ms)
    for index, submission in submissions:
        known = looked_up.known(submission)
        if known is not None:
            if known.shard == shard:
                numbering.pass_by(known.offset, known.timestamp_ms)
            _plan_known(plan, index, submission, known, is_echo=not (is_repeat or submission.is_repeat))
        elif submission.message_id in planned:
            _plan_known(plan, index, submission, planned[submission.message_id], is_echo=True)
        else:
            message = _judge_new(plan, index, submission, looked_up, policies, numbering, shard)
            if message is not None:
                planned[message.message_id] = message


def _plan_known(plan: Plan, index: int, submission: Submission, known: Message, *, is_echo: bool) -> None:
    """A delivery that was begun before gets all its copies again; a client that sent twice gets his own copy."""
    if known.recipient != submission.recipient:
        reason = f"client_message_id {submission.client_message_id!r} is that of your message to {known.recipient}"
        plan.refuse(index, refusal_of(submission, "client_message_id_taken", reason, None))
        return
    plan.repeated += 1
    if not is_echo:
        plan.known.append(known)
    plan.publish(index, direct.plan_echo(known) if is_echo else direct.plan_copies(known))


def _judge_new(
    plan: Plan,
    index: int,
    submission: Submission,
    looked_up: LookedUp,
    policies: PolicyChain,
    numbering: Numbering,
    shard: int,
) -> Message | None:
    try:
        judgement = ask(policies, submission, looked_up)
    except PolicyFailed as failure:
        plan.failed[index] = failure
        return None
    plan.judgements.append(judgement)
    match judgement.verdict:
        case Reject(code, reason, retry_after_s):
            plan.refuse(index, refusal_of(submission, code, reason, retry_after_s))
            return None
        case verdict:
            is_dropped = isinstance(verdict, Drop)
            message = _message(submission, numbering, shard, reaches_recipient=not is_dropped)
            plan.messages.append(message)
            plan.publish(index, direct.plan_copies(message))
            return message


def ask(policies: PolicyChain, submission: Submission, looked_up: LookedUp) -> Judgement:
    """Both stages: the message as such, then its one recipient. Raises PolicyFailed."""
    facts = looked_up.facts(submission)
    judgement = policies.on_submit(submission, facts)
    if judgement is not ALLOWED:
        return judgement
    return policies.on_deliver(submission, submission.recipient, facts)


def refusal_of(submission: Submission, code: str, reason: str, retry_after_s: float | None) -> Refusal:
    """What the sender of this submission is told."""
    return Refusal(
        submission.app,
        submission.sender,
        code,
        reason,
        submission.recipient,
        submission.client_message_id,
        retry_after_s,
    )


def _message(submission: Submission, numbering: Numbering, shard: int, *, reaches_recipient: bool) -> Message:
    app, sender, recipient = submission.app, submission.sender, submission.recipient
    offset, timestamp_ms = numbering.take((app, sender, recipient))
    return Message(
        message_id=submission.message_id,
        app=app,
        sender=sender,
        recipient=recipient,
        body=own_fields(submission.body),
        timestamp_ms=timestamp_ms,
        owners=direct.owners_of(sender, recipient, reaches_recipient=reaches_recipient),
        shard=shard,
        offset=offset,
        client_message_id=submission.client_message_id,
        client_timestamp_ms=client_timestamp(submission.body),
        fingerprint=submission.fingerprint,
    )
