"""Who gets a broker token, for whom, and what comes with it."""

from typing import Any

import jwt
import pytest

from tests.unit.api.world import ADMIN_KEY, ISSUER_KEY, World


async def test_a_token_comes_with_everything_that_a_client_needs(world: World) -> None:
    answer = await world.call("POST", "/v1/tokens", key=ISSUER_KEY, json={"user": "alice", "device": "phone"})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json()
    claims = jwt.decode(told.pop("token"), options={"verify_signature": False})
    assert told == {
        "app": "demo",
        "user": "alice",
        "client_id": "demo.alice.phone",
        "username": "alice",
        "subscribe": "apps/demo/users/alice/#",
        "publish": "apps/demo/outgoing/users/alice/messages/{recipient}/outgoing",
        "expires_at": claims["exp"],
        "mqtt_url": "mqtt://mqtt.test:1883",
        "websocket_url": "ws://mqtt.test/ws",
    }


async def test_the_token_is_also_the_credential_of_this_api(world: World) -> None:
    token = (await world.call("POST", "/v1/tokens", key=ISSUER_KEY, json={"user": "alice"})).json()["token"]
    assert (await world.call("GET", "/v1/sync", key=token)).status_code == 200


async def test_a_user_gets_one_with_the_jwt_of_his_app_and_without_a_body(world: World) -> None:
    answer = await world.call("POST", "/v1/tokens", key=world.app_jwt("alice"))
    assert (answer.status_code, answer.json()["user"]) == (201, "alice")


async def test_the_public_profile_of_the_jwt_is_kept(world: World) -> None:
    await world.call("POST", "/v1/tokens", key=world.app_jwt("alice", profile={"name": "Alice"}))
    await world.call("POST", "/v1/tokens", key=world.app_jwt("alice"))
    assert await world.store.profile("demo", "alice") == {"name": "Alice"}


async def test_a_broker_token_never_gets_another_one(world: World) -> None:
    """Else who was banned or removed from the app could renew his for ever."""
    answer = await world.call("POST", "/v1/tokens", as_user="alice")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


@pytest.mark.parametrize("by", ["user", "issuer", "admin"])
async def test_a_banned_user_gets_none_from_anyone(world: World, by: str) -> None:
    await world.call("PUT", "/v1/bans/alice", key=ADMIN_KEY)
    key = {"user": world.app_jwt("alice"), "issuer": ISSUER_KEY, "admin": ADMIN_KEY}[by]
    answer = await world.call("POST", "/v1/tokens", key=key, json={"user": "alice"})
    assert (answer.status_code, answer.json()["code"]) == (403, "banned")


@pytest.mark.parametrize(
    ("key", "wanted", "status", "code"),
    [
        ("user", {"user": "bob"}, 403, "not_allowed"),
        ("user", {"profile": "chat21"}, 403, "not_allowed"),
        ("issuer", {}, 422, "invalid_request"),
        ("issuer", None, 422, "invalid_request"),
        ("issuer", {"user": "a.b"}, 422, "invalid_id"),
        ("issuer", {"user": "alice", "device": "a/b"}, 422, "invalid_id"),
        ("issuer", {"user": "alice", "device": ""}, 422, "invalid_id"),
        ("issuer", {"user": "alice", "profile": "root"}, 422, "invalid_request"),
        ("issuer", {"user": "alice", "scope": "*"}, 422, "invalid_request"),
        ("issuer", {"user": "observer"}, 403, "not_allowed"),
    ],
)
async def test_what_can_not_be_had_is_refused(world: World, key: str, wanted: Any, status: int, code: str) -> None:
    credential = ISSUER_KEY if key == "issuer" else world.app_jwt("alice")
    answer = await world.call("POST", "/v1/tokens", key=credential, json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_the_public_keys_are_open_and_verify_the_tokens(world: World) -> None:
    answer = await world.call("GET", "/v1/jwks.json")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    keys = jwt.PyJWKSet.from_dict(answer.json())
    token = world.broker_token("alice")
    key = keys[jwt.get_unverified_header(token)["kid"]]
    assert jwt.decode(token, key.key, algorithms=["RS256"], audience="rabbitmq")["sub"] == "alice"
    assert not any("d" in one for one in answer.json()["keys"]), "a private part"
