"""A message that is tried again is the same message, and no other."""

from pathlib import Path

import pytest

from tests.services.observer import running_observer
from tests.services.people import connected
from tests.services.rabbitmq import RunningBroker
from tests.services.third_party import third_party_policy

pytestmark = pytest.mark.broker

STUMBLING_POLICY = """
from pathlib import Path
from policies.base import ALLOW, Policy

class ThirdParty(Policy):
    name = "stumbling"

    def on_submit(self, submission, facts):
        stone = Path({stone!r})
        if stone.exists():
            stone.unlink()
            raise RuntimeError("stumbled, once")
        return ALLOW
"""


def test_an_equal_text_that_is_tried_again_is_another_message(broker: RunningBroker, tmp_path: Path) -> None:
    """Of a client that does not name its messages, on a broker that does not stamp them too (RabbitMQ before 4.2)."""
    stone = tmp_path / "stone"
    policy = third_party_policy(tmp_path, "stumbling", STUMBLING_POLICY.format(stone=str(stone)))
    with running_observer(broker, tmp_path, **policy) as observer:
        alice, bob = observer.person("alice"), observer.person("bob")
        with connected(alice, bob):
            alice.send("bob", "ok")
            bob.wait_for_texts("ok")
            stone.touch()
            alice.send("bob", "ok")
            bob.wait_until(lambda: len(bob.inbox) == 2, "the second one")
            alice.wait_until(lambda: len(alice.inbox) == 2, "her copy of it")
        assert observer.metric("observer_messages_total", outcome="retried") == 1
        assert observer.metric("observer_messages_total", outcome="stored") == 2
    assert len({one["message_id"] for one in bob.inbox}) == 2
