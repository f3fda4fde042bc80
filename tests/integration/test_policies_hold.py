"""Promise 5: no policy is skipped, and a setting holds for the next message after the API call returned."""

from pathlib import Path

import pytest

from tests.services.observer import RunningObserver, running_observer
from tests.services.people import connected
from tests.services.rabbitmq import RunningBroker
from tests.services.stores import every_store
from tests.services.third_party import third_party_policy

pytestmark = [pytest.mark.broker, every_store]

CRASHING_POLICY = """
from policies.base import ALLOW, Policy

class ThirdParty(Policy):
    name = "crashing"

    def on_deliver(self, submission, recipient, facts):
        if submission.body.get("text") == "crash":
            raise RuntimeError("a bug")
        return ALLOW
"""


def test_a_message_whose_policy_crashes_is_never_delivered(
    broker: RunningBroker, store_url: str, tmp_path: Path
) -> None:
    """It is tried again, then dead-lettered and told; everybody else's messages pass."""
    policy = third_party_policy(tmp_path, "crashing", CRASHING_POLICY)
    options = {"OBSERVER_STORE__URL": store_url, "OBSERVER_BROKER__DEAD_LETTER_AFTER": "2", **policy}
    with running_observer(broker, tmp_path, **options) as observer:
        alice, bob = observer.person("alice"), observer.person("bob")
        with connected(alice, bob):
            alice.send("bob", "crash")
            alice.send("bob", "fine")
            bob.wait_for_texts("fine")
            alice.wait_for_refusal("failed")
            alice.send("bob", "end")
            bob.wait_for_texts("end")
        assert bob.texts() == ["fine", "end"]
        assert observer.metric("observer_messages_total", outcome="retried") == 1
        assert observer.metric("observer_messages_total", outcome="dead_lettered") == 1


def test_a_block_holds_from_the_next_message_on_and_is_not_revealed(observer: RunningObserver) -> None:
    """The blocked sender gets the same 100 copy as before; the recipient gets nothing, at any exit."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob), observer.api("bob") as api:
        for round_ in range(5):
            alice.send("bob", f"before {round_}")
            bob.wait_for_texts(f"before {round_}")
            assert api.put("/v1/blocks/alice").is_success
            alice.send("bob", f"hidden {round_}")
            alice.wait_for_texts(f"hidden {round_}")
            assert api.delete("/v1/blocks/alice").is_success
        alice.send("bob", "end")
        bob.wait_for_texts("end")

        assert [text for text in bob.texts() if text.startswith("hidden")] == []
        assert alice.refusals == []
        shown = [one for one in alice.inbox if one["text"].startswith("hidden")]
        assert {one["status"] for one in shown} == {100}
        assert {frozenset(one) for one in alice.inbox} == {frozenset(alice.inbox[0])}, "a blocked copy looks different"
        for path in ("/v1/sync?limit=200", "/v1/conversations", "/v1/conversations/alice/messages?limit=200"):
            assert "hidden" not in api.get(path).raise_for_status().text
        (conversation,) = api.get("/v1/conversations").json()["conversations"]
        assert conversation["unread"] == 6


def test_privacy_holds_from_the_next_message_on_and_is_told(observer: RunningObserver) -> None:
    """Contacts only: a stranger is refused; whoever bob has written to is a contact."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob), observer.api("bob") as api:
        assert api.put("/v1/privacy", json={"who_may_write": "contacts"}).is_success
        alice.send("bob", "stranger", client_message_id="s-1")
        refusal = alice.wait_for_refusal("not_allowed")
        assert refusal["client_message_id"] == "s-1"
        bob.send("alice", "hi")
        alice.wait_for_texts("hi")
        alice.send("bob", "contact")
        bob.wait_for_texts("contact")
        assert bob.texts(status=150) == ["contact"]


def test_the_operator_decides_for_who_has_not_chosen_and_the_api_says_the_same(
    broker: RunningBroker, store_url: str, tmp_path: Path
) -> None:
    """Once bob has chosen, his choice counts."""
    options = {"OBSERVER_STORE__URL": store_url, "OBSERVER_POLICIES__PRIVACY__WHO_MAY_WRITE": "contacts"}
    with running_observer(broker, tmp_path, **options) as observer:
        alice, bob = observer.person("alice"), observer.person("bob")
        with connected(alice, bob), observer.api("bob") as api:
            assert api.get("/v1/privacy").json() == {"who_may_write": "contacts"}
            alice.send("bob", "stranger")
            alice.wait_for_refusal("not_allowed")
            assert api.put("/v1/privacy", json={"who_may_write": "everyone"}).is_success
            alice.send("bob", "welcome")
            bob.wait_for_texts("welcome")
            assert bob.texts() == ["welcome"]


def test_a_banned_sender_is_refused_until_the_ban_is_lifted(observer: RunningObserver) -> None:
    """The operator bans by API key; the sender is told."""
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob), observer.api() as api:
        assert api.put("/v1/bans/alice", json={"reason": "spam"}).is_success
        alice.send("bob", "banned")
        assert "spam" in alice.wait_for_refusal("banned")["reason"]
        assert api.delete("/v1/bans/alice").is_success
        alice.send("bob", "free")
        bob.wait_for_texts("free")
        assert bob.texts() == ["free"]


def test_a_sender_over_the_rate_limit_is_refused_with_a_time_to_wait(
    broker: RunningBroker, store_url: str, tmp_path: Path
) -> None:
    """Two at once are allowed; the third is told when to come again."""
    options = {
        "OBSERVER_STORE__URL": store_url,
        "OBSERVER_POLICIES__RATE_LIMIT__CAPACITY": "2",
        "OBSERVER_POLICIES__RATE_LIMIT__REFILL_PER_S": "0.01",
    }
    with running_observer(broker, tmp_path, **options) as observer:
        alice, bob = observer.person("alice"), observer.person("bob")
        with connected(alice, bob):
            for text in ("1", "2", "3"):
                alice.send("bob", text)
            refusal = alice.wait_for_refusal("rate_limited")
            bob.wait_for_texts("1", "2")
        assert 0 < refusal["retry_after_s"] <= 100
        assert bob.texts() == ["1", "2"]
