"""What an operator sees of real traffic: the metrics count it, the log tells it, and neither tells what was said."""

import json
import re
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

from tests.services.observer import RunningObserver, running_observer
from tests.services.people import Person, connected
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]


def test_the_metrics_count_what_became_of_each_message(observer: RunningObserver) -> None:
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob):
        alice.send("bob", "one", client_message_id="m-1")
        alice.send("bob", "two", client_message_id="m-2")
        alice.send("bob", "two", client_message_id="m-2")
        alice.publish("apps/demo/outgoing/users/alice/messages/bob/outgoing", b"not json")
        alice.wait_for_refusal("invalid_json")
        bob.wait_for_texts("one", "two")

    observer.wait_until(lambda: observer.metric("observer_messages_total", outcome="repeated") == 1, "the repeat")
    assert observer.metric("observer_messages_total", outcome="stored") == 2
    assert observer.metric("observer_messages_total", outcome="refused") == 1
    assert observer.metric("observer_refusals_total", code="invalid_json") == 1
    assert observer.metric("observer_policy_verdicts_total", policy="block", verdict="allow") >= 2
    assert observer.metric("observer_batch_size_sum") == 4, "each delivery was in one batch"
    assert observer.metric("observer_stage_seconds_count", stage="save") >= 1, "what comes together is saved together"
    active = [observer.metric("observer_shard_active", shard=str(shard)) for shard in range(observer.broker.shards)]
    assert active == [1.0] * observer.broker.shards


def test_metrics_name_no_user_and_no_app(observer: RunningObserver) -> None:
    name = f"user-{token_hex(6)}"
    alice = observer.person(name)
    with connected(alice):
        alice.send(name, "to myself")
        alice.wait_for_texts("to myself")
    page = observer.metrics()
    assert name not in page
    assert '"demo"' not in page


def test_the_log_is_lines_of_json_with_known_events_and_nothing_private(broker: RunningBroker, tmp_path: Path) -> None:
    """At level debug, through a good message, a refused one, a wrong credential, a start and a stop."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    known = set(re.findall(r"^\| `(\w+)` \|", page.partition("### Log events")[2], re.MULTILINE))
    secret = f"secret-{token_hex(6)}"
    with running_observer(broker, tmp_path, OBSERVER_LOG__LEVEL="debug") as observer:
        issued = observer.issue("alice")
        alice = Person(issued, observer.mqtt_port)
        with connected(alice):
            alice.send("alice", secret, attributes={"note": secret})
            alice.publish("apps/demo/outgoing/users/alice/messages/alice/outgoing", f"[{secret}".encode())
            alice.wait_for_refusal("invalid_json")
            alice.wait_for_texts(secret)
        httpx.get(f"{observer.api_url}/v1/sync", headers={"Authorization": f"Bearer {secret}"}, timeout=5)
        key = {"Authorization": f"Bearer {observer.api_key}"}
        httpx.get(f"{observer.api_url}/v1/sync", params={"user": "alice"}, headers=key, timeout=5)
        assert observer.stop() == 0
        log = observer.log()

    lines = [json.loads(line) for line in log.splitlines()]
    events = {line["event"] for line in lines}
    assert {"observer_ready", "shard_opened", "request_handled", "observer_stopped"} <= events <= known
    assert [text for text in (secret, issued.token, observer.api_key) if text in log] == []
