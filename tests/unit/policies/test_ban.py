"""Policy `ban`: a banned sender sends nothing until his ban ends."""

import pytest

from policies.ban import BanPolicy
from policies.base import ALLOW, Ban, Fact, Facts, Reject, Verdict
from tests.unit.policies.submissions import make_submission

NOW_MS = 1_000_000


def judge(ban: Ban | None) -> Verdict:
    return BanPolicy().on_submit(make_submission(), Facts(now_ms=NOW_MS, ban=ban))


def test_it_asks_for_the_ban() -> None:
    assert BanPolicy.needs == {Fact.BAN}


@pytest.mark.parametrize("ban", [None, Ban(until_ms=NOW_MS), Ban(until_ms=NOW_MS - 1), Ban(until_ms=0)], ids=str)
def test_without_a_ban_or_behind_its_end_a_message_is_allowed(ban: Ban | None) -> None:
    assert judge(ban) is ALLOW


def test_a_ban_with_an_end_says_how_long_it_still_lasts() -> None:
    assert judge(Ban(until_ms=NOW_MS + 2500, reason="spam")) == Reject("banned", "spam", 2.5)


def test_a_ban_holds_to_its_last_millisecond() -> None:
    assert isinstance(judge(Ban(until_ms=NOW_MS + 1)), Reject)


def test_a_ban_without_end_names_no_time_and_a_ban_without_reason_gets_one() -> None:
    assert judge(Ban()) == Reject("banned", "you are banned from this app", None)


def test_a_ban_is_judged_once_a_message_even_if_the_sender_writes_to_himself() -> None:
    verdict = BanPolicy().on_submit(make_submission(recipient="alice"), Facts(now_ms=0, ban=Ban()))
    assert isinstance(verdict, Reject)
