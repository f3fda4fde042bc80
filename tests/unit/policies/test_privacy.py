"""Policy `privacy`: a user decides who may write to him."""

import pytest

from policies.base import ALLOW, Fact, Facts, Privacy, Reject, Relation, Verdict, WhoMayWrite
from policies.privacy import PrivacyPolicy
from tests.unit.policies.submissions import make_submission

REFUSED = Reject("not_allowed", "the recipient does not take messages from you")


def judge(choice: WhoMayWrite, *, is_contact: bool, recipient: str = "bob") -> Verdict:
    facts = Facts(now_ms=0, relation=Relation(is_contact=is_contact), privacy=Privacy(choice))
    return PrivacyPolicy().on_deliver(make_submission(recipient=recipient), recipient, facts)


def test_it_asks_for_privacy_and_relation() -> None:
    assert PrivacyPolicy.needs == {Fact.PRIVACY, Fact.RELATION}


@pytest.mark.parametrize(
    ("choice", "is_contact", "expected"),
    [
        (WhoMayWrite.EVERYONE, False, ALLOW),
        (WhoMayWrite.EVERYONE, True, ALLOW),
        (WhoMayWrite.CONTACTS, False, REFUSED),
        (WhoMayWrite.CONTACTS, True, ALLOW),
        (WhoMayWrite.NOBODY, False, REFUSED),
        (WhoMayWrite.NOBODY, True, REFUSED),
    ],
)
def test_the_recipients_choice_decides(choice: WhoMayWrite, is_contact: bool, expected: Verdict) -> None:
    assert judge(choice, is_contact=is_contact) == expected


@pytest.mark.parametrize("choice", list(WhoMayWrite))
def test_everybody_may_write_to_himself(choice: WhoMayWrite) -> None:
    assert judge(choice, is_contact=False, recipient="alice") is ALLOW


def test_who_never_chose_takes_messages_from_everyone() -> None:
    assert PrivacyPolicy().on_deliver(make_submission(), "bob", Facts(now_ms=0)) is ALLOW
