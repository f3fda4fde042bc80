"""From submissions and facts to a plan."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from observer.handlers import direct
from observer.message import Message, Submission
from observer.pipeline.batch import Batch, Try
from observer.pipeline.judge import judge
from observer.pipeline.look_up import LookedUp, query_for
from observer.pipeline.numbering import Numbering
from observer.pipeline.plan import Plan
from observer.store.base import Found, ShardPosition
from policies.base import ALLOW, Ban, Drop, Fact, Facts, Policy, Reject, Relation, Verdict
from policies.chain import PolicyChain

NOW_MS = 1_000


class Scripted(Policy):
    """Says what the text of the message says."""

    name = "scripted"

    def on_submit(self, submission: Submission, facts: Facts) -> Verdict:
        match submission.body["text"]:
            case "reject":
                return Reject("no", "because", 2.5)
            case "drop at submit":
                return Drop("quiet")
            case "crash":
                raise RuntimeError("a bug")
            case _:
                return ALLOW

    def on_deliver(self, submission: Submission, recipient: str, facts: Facts) -> Verdict:
        return Drop("blocked") if facts.relation.is_blocked else ALLOW


def submission(text: str = "hi", **changes: Any) -> Submission:
    base = Submission(f"id of {text}", "demo", "alice", "bob", {"text": text}, 10)
    return replace(base, **changes)


def planned(submissions: Sequence[Submission], found: Found | None = None, policy: Policy | None = None) -> Plan:
    batch = Batch(3, None, [])  # type: ignore[arg-type]  # nothing here asks its queue
    one = Try(batch, Numbering.after(ShardPosition(0, 0)), dead_letter_after=5)
    one.submissions = dict(enumerate(submissions))
    judge(one, LookedUp(found or Found(), {}, {}, NOW_MS), PolicyChain([policy or Scripted()]), {})
    return one.plan


def stored(of: Submission) -> Message:
    (message,) = planned([of]).messages
    return replace(message, offset=77, timestamp_ms=5)


def keys(plan: Plan) -> list[str]:
    return [one.routing_key for one in plan.publications]


def test_an_allowed_message_is_stored_for_both_and_goes_to_both() -> None:
    plan = planned([submission("one"), submission("two")])

    assert [(m.offset, m.owners, m.shard) for m in plan.messages] == [
        (0, ("alice", "bob"), 3),
        (1, ("alice", "bob"), 3),
    ]
    assert plan.sources == [0, 0, 1, 1]
    assert all(message.timestamp_ms >= NOW_MS for message in plan.messages)


@pytest.mark.parametrize("how", ["at submit", "on deliver"])
def test_a_dropped_message_is_stored_for_its_sender_alone_and_shown_to_him(how: str) -> None:
    """A block cannot be detected: what the sender gets is what he gets without it."""
    if how == "at submit":
        plan = planned([submission("drop at submit")])
    else:
        plan = planned([submission()], Found(relations={("demo", "bob", "alice"): Relation(is_blocked=True)}))

    assert plan.messages[0].owners == ("alice",)
    assert keys(plan) == ["apps.demo.users.alice.messages.bob.clientadded"]


def test_a_rejected_message_is_not_stored_and_its_sender_is_told() -> None:
    plan = planned([submission("reject", client_message_id="c-1")])

    assert plan.messages == []
    assert keys(plan) == ["apps.demo.users.alice.refused"]
    assert json.loads(plan.publications[0].body) == {
        "status": -100,
        "code": "no",
        "reason": "because",
        "recipient": "bob",
        "client_message_id": "c-1",
        "retry_after_s": 2.5,
    }


def test_a_message_whose_policy_crashes_is_neither_stored_nor_shown_and_harms_no_other() -> None:
    """Promise 5: fail closed."""
    plan = planned([submission("crash"), submission("fine")])

    assert list(plan.failed) == [0]
    assert [message.message_id for message in plan.messages] == ["id of fine"]
    assert plan.sources == [1, 1]


def test_every_judgement_is_noted_with_the_policy_that_gave_it() -> None:
    """For the operator's metrics; a crash is no judgement."""
    plan = planned([submission("fine"), submission("reject"), submission("drop at submit"), submission("crash")])
    assert {index: one.policy for index, one in plan.judgements.items()} == {0: "", 1: "scripted", 2: "scripted"}


def test_a_redelivered_message_that_is_stored_gets_all_its_copies_again_as_they_were() -> None:
    """A crash may have come before they went out."""
    known = stored(submission())
    plan = planned([submission(is_repeat=True)], Found(messages={known.message_id: known}))

    assert (plan.messages, plan.known) == ([], [known])
    assert plan.publications == list(direct.plan_copies(known))


@pytest.mark.parametrize(("place", "offset"), [((3, 0), 1), ((3, 1), 0), ((2, 0), 0)])
def test_only_what_stands_at_the_next_offset_of_the_own_shard_is_passed_by(place: tuple[int, int], offset: int) -> None:
    """A half-done try of the same batch stored it; the new message behind it comes next."""
    first, second = submission("one", is_repeat=True), submission("two")
    known = replace(stored(first), shard=place[0], offset=place[1])
    plan = planned([first, second], Found(messages={first.message_id: known}))
    assert [message.offset for message in plan.messages] == [offset]


def test_a_message_that_its_client_sent_again_is_echoed_to_him_alone() -> None:
    known = stored(submission())
    plan = planned([submission()], Found(messages={known.message_id: known}))

    assert keys(plan) == ["apps.demo.users.alice.messages.bob.clientadded"]
    assert (plan.messages, plan.repeated) == ([], 1)


def test_the_same_message_twice_in_a_batch_is_stored_once() -> None:
    plan = planned([submission(), submission()])

    assert len(plan.messages) == 1
    assert plan.sources == [0, 0, 1]


def test_a_client_message_id_that_belongs_to_a_message_to_somebody_else_is_refused() -> None:
    """Otherwise the second message would vanish behind the first."""
    known = stored(submission(client_message_id="c-1"))
    plan = planned([submission(recipient="carol", client_message_id="c-1")], Found(messages={known.message_id: known}))
    assert json.loads(plan.publications[0].body)["code"] == "client_message_id_taken"


def test_only_facts_that_a_policy_reads_are_asked_for() -> None:
    nothing = query_for([submission()], frozenset())
    everything = query_for([submission()], frozenset(Fact))

    assert (nothing.senders, nothing.recipients, nothing.relations) == ((), (), ())
    assert everything.relations == {("demo", "bob", "alice")}
    assert (everything.senders, everything.recipients) == ({("demo", "alice")}, {("demo", "bob")})


def test_a_policy_sees_the_facts_of_its_own_sender_and_recipient() -> None:
    class Seen(Policy):
        name = "seen"

        def on_submit(self, submission: Submission, facts: Facts) -> Verdict:
            assert facts.ban == Ban(reason="spam")
            assert facts.now_ms == NOW_MS
            return ALLOW

    found = Found(bans={("demo", "alice"): Ban(reason="spam"), ("demo", "bob"): Ban(reason="other")})
    assert planned([submission()], found, Seen()).failed == {}
