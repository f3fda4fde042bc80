"""Sending over HTTP is sending over MQTT: same topic, same body, same id, same answer to a repeat."""

from typing import Any

import orjson
import pytest

from observer.broker.base import Incoming
from observer.message import Submission, encode_copy
from observer.pipeline.decode import decode
from tests.unit.api.conftest import WorldWith
from tests.unit.api.world import ADMIN_KEY, World


def as_the_pipeline_reads_it(world: World) -> Submission:
    publication = world.broker.published[-1]
    read = decode(Incoming(1, publication.routing_key, publication.body))
    assert isinstance(read, Submission)
    return read


async def test_a_message_goes_to_the_senders_own_outgoing_topic_with_every_field(world: World) -> None:
    sent = {"recipient": "bob", "text": "hi", "attributes": {"a": 1}, "metadata": {}, "mood": ["x"], "type": "text"}
    answer = await world.call("POST", "/v1/messages", as_user="alice", json=sent)
    assert answer.status_code == 202
    submission = as_the_pipeline_reads_it(world)
    assert (submission.app, submission.sender, submission.recipient) == ("demo", "alice", "bob")
    own_id = answer.json()["client_message_id"]
    del sent["recipient"]
    assert submission.body == {**sent, "client_message_id": own_id}


async def test_the_answer_names_the_id_that_the_pipeline_will_give(world: World) -> None:
    for own_id in (None, "mine-1"):
        sent = {"recipient": "bob", "text": "hi", "client_message_id": own_id}
        answer = await world.call("POST", "/v1/messages", as_user="alice", json=sent)
        assert answer.json()["message_id"] == as_the_pipeline_reads_it(world).message_id
        assert answer.headers["Location"] == f"/v1/messages/{answer.json()['message_id']}"


async def test_a_repeat_of_a_client_message_id_is_the_same_message(world: World) -> None:
    sent = {"recipient": "bob", "text": "hi", "client_message_id": "mine-1"}
    answers = [await world.call("POST", "/v1/messages", as_user="alice", json=sent) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    other = await world.call("POST", "/v1/messages", as_user="carol", json=sent)
    assert other.json()["message_id"] != answers[0].json()["message_id"]


async def test_messages_without_a_client_message_id_are_different_messages(world: World) -> None:
    sent = {"recipient": "bob", "text": "hi"}
    answers = [await world.call("POST", "/v1/messages", as_user="alice", json=sent) for _ in range(2)]
    assert answers[0].json()["message_id"] != answers[1].json()["message_id"]


async def test_an_admin_sends_as_the_user_whom_he_names(world: World) -> None:
    sent = {"recipient": "bob", "text": "hi"}
    answer = await world.call("POST", "/v1/messages?user=alice", key=ADMIN_KEY, json=sent)
    assert answer.status_code == 202
    assert as_the_pipeline_reads_it(world).sender == "alice"


@pytest.mark.parametrize("own_id", [None, "mine-1"])
@pytest.mark.parametrize("fault", ["is_down", "is_full", "is_silent"])
async def test_what_the_broker_did_not_confirm_is_never_called_accepted(
    world_with: WorldWith, fault: str, own_id: str | None
) -> None:
    """The answer names the client_message_id, ours too: the broker may have the message, so a repeat must be known."""
    world = world_with(publish_timeout_s=0.05)
    setattr(world.broker, fault, True)
    sent = {"recipient": "bob", "text": "hi", "client_message_id": own_id}
    answer = await world.call("POST", "/v1/messages", as_user="alice", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["client_message_id"] == (own_id or answer.json()["client_message_id"])
    assert answer.json()["client_message_id"]


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"text": "to nobody"}, "invalid_request"),
        ({"recipient": "bob.#"}, "invalid_id"),
        ({"recipient": 7}, "invalid_request"),
        ({"recipient": "bob", "text": 7}, "invalid_request"),
        ({"recipient": "bob", "attributes": []}, "invalid_request"),
        ({"recipient": "bob", "client_message_id": ""}, "invalid_client_message_id"),
        ({"recipient": "bob", "client_message_id": "x" * 129}, "invalid_client_message_id"),
        ({"recipient": "bob", "client_message_id": "a\nb"}, "invalid_client_message_id"),
        ({"recipient": "bob", "deep": nested(200)}, "invalid_payload"),
        ({"recipient": "bob", "big": 2**70}, "invalid_payload"),
        (["bob"], "invalid_request"),
        ("bob", "invalid_request"),
        (None, "invalid_request"),
    ],
)
async def test_a_message_that_can_not_be_sent_is_refused_at_once(world: World, sent: Any, code: str) -> None:
    answer = await world.call("POST", "/v1/messages", as_user="alice", json=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert world.broker.published == []


async def test_a_message_is_found_once_it_is_stored_and_by_its_owners_alone(world: World) -> None:
    sent = {"recipient": "bob", "text": "hi", "client_message_id": "alice-bob-hi"}
    location = (await world.call("POST", "/v1/messages", as_user="alice", json=sent)).headers["Location"]
    assert (await world.call("GET", location, as_user="alice")).status_code == 404
    await world.store_message("alice", "bob", "hi", mood="fine")
    seen = {user: await world.call("GET", location, as_user=user) for user in ("alice", "bob", "carol")}
    assert [answer.status_code for answer in seen.values()] == [200, 200, 404]
    assert [(seen[user].json()["status"], seen[user].json()["peer"]) for user in ("alice", "bob")] == [
        (100, "bob"),
        (150, "alice"),
    ]
    assert seen["bob"].json()["mood"] == "fine"


async def test_a_dropped_message_looks_sent_to_its_sender_and_is_not_there_for_the_other(world: World) -> None:
    message = await world.store_message("alice", "bob", "unwanted", is_dropped=True)
    path = f"/v1/messages/{message.message_id}"
    assert (await world.call("GET", path, as_user="alice")).json()["status"] == 100
    assert (await world.call("GET", path, as_user="bob")).status_code == 404


async def test_an_inbox_copy_over_http_is_the_one_of_mqtt_and_the_peer(world: World) -> None:
    message = await world.store_message("alice", "bob", "hi", peer="a field of the sender's own")
    answer = await world.call("GET", f"/v1/messages/{message.message_id}", as_user="bob")
    assert answer.json() == orjson.loads(encode_copy(message, "bob")) | {"peer": "alice"}
