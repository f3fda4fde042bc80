"""Judge: from submissions and facts to a plan of everything that the batch does. Pure: no waiting, no I/O."""

from observer.handlers import direct
from observer.message import Message, Submission, client_timestamp, own_fields, refusal_of
from observer.pipeline.batch import Try
from observer.pipeline.look_up import LookedUp
from observer.pipeline.numbering import Numbering
from observer.pipeline.plan import Plan
from policies.base import Drop, Reject
from policies.chain import ALLOWED, Judgement, PolicyChain, PolicyFailed


def judge(one: Try, looked_up: LookedUp, policies: PolicyChain, planned: dict[str, Message]) -> None:
    """Add to the plan of this try what becomes of each submission; its numbering moves on with what is to be stored.

    `planned` holds the new messages of all batches that travel together, by id; those of this one are added.
    """
    shard, numbering = one.batch.shard, one.numbering
    numbering.begin_batch(looked_up.now_ms)
    for index, submission in one.submissions.items():
        known = looked_up.known(submission)
        if known is not None:
            if known.shard == shard:
                numbering.pass_by(known.offset, known.timestamp_ms)
            is_echo = not (one.batch.is_repeat or submission.is_repeat)
            _plan_known(one.plan, index, submission, known, is_echo=is_echo)
        elif submission.message_id in planned:
            _plan_known(one.plan, index, submission, planned[submission.message_id], is_echo=True)
        else:
            message = _judge_new(one, index, submission, looked_up, policies)
            if message is not None:
                planned[message.message_id] = message


def _plan_known(plan: Plan, index: int, submission: Submission, known: Message, *, is_echo: bool) -> None:
    """A delivery that was begun before gets all its copies again; a client that sent twice gets his own copy."""
    if known.recipient != submission.recipient:
        reason = f"client_message_id {submission.client_message_id!r} is that of your message to {known.recipient}"
        plan.refuse(index, refusal_of(submission, "client_message_id_taken", reason))
        return
    plan.repeated += 1
    if not is_echo:
        plan.known.append(known)
    plan.publish(index, direct.plan_echo(known) if is_echo else direct.plan_copies(known))


def _judge_new(
    one: Try, index: int, submission: Submission, looked_up: LookedUp, policies: PolicyChain
) -> Message | None:
    plan = one.plan
    try:
        judgement = ask(policies, submission, looked_up)
    except PolicyFailed as failure:
        plan.failed[index] = failure
        return None
    plan.judgements[index] = judgement
    match judgement.verdict:
        case Reject(code, reason, retry_after_s):
            plan.refuse(index, refusal_of(submission, code, reason, retry_after_s))
            return None
        case verdict:
            is_dropped = isinstance(verdict, Drop)
            message = _message(submission, one.numbering, one.batch.shard, reaches_recipient=not is_dropped)
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
