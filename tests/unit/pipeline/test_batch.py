"""A batch, and one try at it."""

from observer.broker.base import Incoming, Outcome
from observer.message import Publication
from observer.pipeline.batch import Batch, Try
from observer.pipeline.decode import MAX_BYTES
from observer.pipeline.numbering import Numbering
from observer.pipeline.plan import Plan
from observer.pipeline.settle import Settlement
from policies.chain import PolicyFailed

TOPIC = "apps.demo.outgoing.users.eve.messages.bob.outgoing"


def batch(*attempts: int) -> Batch:
    deliveries = [Incoming(tag, TOPIC, b'{"text":"hi"}', attempt=attempt) for tag, attempt in enumerate(attempts)]
    return Batch(0, None, deliveries)  # type: ignore[arg-type]  # nothing here asks its queue


def endings(settlement: Settlement) -> list[tuple[int, Outcome]]:
    return [(one.incoming.tag, one.outcome) for one in settlement.others]


def refused(plan: Plan) -> list[tuple[int, str]]:
    return [(index, refusal.code) for index, refusal in zip(plan.sources, plan.refusals, strict=True)]


def test_what_is_no_message_is_answered_and_dead_lettered_where_nobody_can_be_told() -> None:
    good, broken = Incoming(0, TOPIC, b"{}"), Incoming(1, TOPIC, b"{")
    nobodys = Incoming(2, "apps.demo.outgoing", b"{}")
    one = Try(Batch(0, None, [good, broken, nobodys]), Numbering(0, 0), dead_letter_after=5)  # type: ignore[arg-type]
    one.decode(MAX_BYTES)

    assert list(one.submissions) == [0]
    assert refused(one.plan) == [(1, "invalid_json")]
    assert endings(one.settlement) == [(2, Outcome.DEAD_LETTER)]


def test_an_id_that_was_given_by_chance_stays_the_same_in_every_try() -> None:
    """The first try may have stored the message under it."""
    whole = batch(1, 1, 1)
    decoded = whole.decoded(MAX_BYTES)
    first, second = whole.halves()

    assert whole.decoded(MAX_BYTES) == decoded
    assert [*first.decoded(MAX_BYTES), *second.decoded(MAX_BYTES)] == decoded


def test_the_halves_are_all_of_it_and_may_have_been_half_done() -> None:
    whole = batch(1, 1, 1)
    first, second = whole.halves()

    assert [*first.deliveries, *second.deliveries] == whole.deliveries
    assert (len(first.deliveries), len(second.deliveries)) == (1, 2)
    assert first.is_repeat
    assert second.is_repeat


def test_what_a_policy_crashed_over_is_tried_again_and_after_its_last_try_told_to_the_sender() -> None:
    """Promise 5: it is not judged, so it may be neither delivered nor let go."""
    one = Try(batch(1, 2, 3), Numbering(0, 0), dead_letter_after=3)
    one.decode(MAX_BYTES)
    one.plan.failed = {index: PolicyFailed("shape", "raised KeyError") for index in (1, 2)}
    one.fail_unjudged()

    assert endings(one.settlement) == [(1, Outcome.RETRY), (2, Outcome.DEAD_LETTER)]
    assert refused(one.plan) == [(2, "failed")]
    assert one.plan.refusals[0].recipient == "bob"
    assert [ending.message_id for ending in one.settlement.others] == [
        one.submissions[index].message_id for index in (1, 2)
    ]


def test_what_could_not_be_decoded_keeps_the_id_that_it_came_with() -> None:
    """A body that was let go for its size, in an earlier try that parked it."""
    parked = Incoming(0, TOPIC, b"", left_out=10, message_id="m-1")
    one = Try(Batch(0, None, [parked]), Numbering(0, 0), dead_letter_after=5)  # type: ignore[arg-type]
    one.decode(MAX_BYTES)
    one.fail(0, "why")
    assert [ending.message_id for ending in one.settlement.others] == ["m-1"]


def test_a_refused_copy_leaves_its_message_and_those_behind_it_and_none_that_has_ended() -> None:
    """All three are for one inbox; the last one met a policy that crashed, for the last time."""
    one = Try(batch(1, 1, 1, 5), Numbering(0, 0), dead_letter_after=5)
    one.decode(MAX_BYTES)
    for index in range(3):
        one.plan.publish(index, [Publication("his.inbox", b"")])
    one.fail(3, "crashed")
    one.fail_unpublished([1, 3])

    left = one.batch.left
    assert left is not None
    assert [delivery.tag for delivery in left.deliveries] == [1, 2]
    assert endings(one.settlement) == [(3, Outcome.DEAD_LETTER)]
    assert [delivery.tag for delivery in one.settlement.done] == [0]


def test_what_an_earlier_try_left_is_forgotten_by_the_next() -> None:
    """The next one tries all of it again."""
    whole = batch(1, 1)
    first = Try(whole, Numbering(0, 0), dead_letter_after=5)
    first.batch.leave([1])
    Try(whole, Numbering(0, 0), dead_letter_after=5)
    assert whole.left is None
