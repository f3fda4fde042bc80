"""Policy `block`: whom a user has blocked does not reach him."""

from policies.base import ALLOW, Drop, Fact, Facts, Relation
from policies.block import BlockPolicy
from tests.unit.policies.submissions import make_submission

BLOCKED = Facts(now_ms=0, relation=Relation(is_blocked=True, is_contact=True))


def test_it_asks_for_the_relation() -> None:
    assert BlockPolicy.needs == {Fact.RELATION}


def test_a_message_to_somebody_who_has_blocked_the_sender_is_dropped_without_a_word() -> None:
    assert BlockPolicy().on_deliver(make_submission(), "bob", BLOCKED) == Drop("blocked")


def test_without_a_block_a_message_is_allowed() -> None:
    assert BlockPolicy().on_deliver(make_submission(), "bob", Facts(now_ms=0)) is ALLOW


def test_nobody_blocks_himself() -> None:
    assert BlockPolicy().on_deliver(make_submission(recipient="alice"), "alice", BLOCKED) is ALLOW
