"""Policy `privacy`: a user decides who may write to him."""

import pytest

from policies.base import ALLOW, Fact, Facts, Privacy, Reject, Relation, Verdict, WhoMayWrite
from policies.privacy import PrivacyPolicy
from tests.unit.policies.submissions import make_submission

REFUSED = Reject("not_allowed", "the recipient does not take messages from you")


def judge(
    choice: WhoMayWrite | None,
    *,
    is_contact: bool,
    recipient: str = "bob",
    default: WhoMayWrite = WhoMayWrite.EVERYONE,
) -> Verdict:
    privacy = Privacy(choice) if choice else None
    facts = Facts(now_ms=0, relation=Relation(is_contact=is_contact), privacy=privacy)
    return PrivacyPolicy(Privacy(default)).on_deliver(make_submission(recipient=recipient), recipient, facts)


def test_it_asks_for_privacy_and_relation() -> None:
    assert PrivacyPolicy.needs == {Fact.PRIVACY, Fact.RELATION}


every_choice = pytest.mark.parametrize(
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


@every_choice
@pytest.mark.parametrize("default", list(WhoMayWrite))
def test_the_recipients_choice_decides_whatever_the_default(
    choice: WhoMayWrite, is_contact: bool, expected: Verdict, default: WhoMayWrite
) -> None:
    assert judge(choice, is_contact=is_contact, default=default) == expected


@every_choice
def test_for_a_recipient_who_never_chose_the_default_decides(
    choice: WhoMayWrite, is_contact: bool, expected: Verdict
) -> None:
    assert judge(None, is_contact=is_contact, default=choice) == expected


@pytest.mark.parametrize("choice", list(WhoMayWrite))
def test_everybody_may_write_to_himself(choice: WhoMayWrite) -> None:
    assert judge(choice, is_contact=False, recipient="alice") is ALLOW
    assert judge(None, is_contact=False, recipient="alice", default=choice) is ALLOW
