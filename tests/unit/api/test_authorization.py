"""The authorization matrix: every route of the API, tried with every kind of credential."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from observer.api.auth import user_of
from observer.api.problems import Problem
from observer.message import message_id_of
from observer.tokens.base import Caller, CallerRole
from tests.unit.api.conftest import WorldWith
from tests.unit.api.world import ADMIN_KEY, ISSUER_KEY, OTHER_ADMIN_KEY, World

MESSAGE = message_id_of("demo", "bob", "bob-alice-hi")
FORGED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImFwcF9pZCI6ImRlbW8iLCJleHAiOjk5OTk5OTk5OTl9."


@dataclass(frozen=True)
class Route:
    """One route, a good request for it, and who may make it."""

    open_to: str
    """`all`, `callers` (any credential), `owners` (users and acting admins), `admins`, `issuers` (of tokens)."""
    path: str
    status: int = 200
    elsewhere: int = 200
    """What a user of the same name in another app gets: his own things, which are not there."""
    body: Mapping[str, Any] | None = None


ROUTES: Mapping[tuple[str, str], Route] = {
    ("GET", "/livez"): Route("all", "/livez"),
    ("GET", "/readyz"): Route("all", "/readyz"),
    ("GET", "/v1/jwks.json"): Route("all", "/v1/jwks.json"),
    ("GET", "/metrics"): Route("admins", "/metrics"),
    ("POST", "/v1/tokens"): Route("issuers", "/v1/tokens", 201, body={"user": "alice"}),
    ("POST", "/v1/messages"): Route("owners", "/v1/messages", 202, 202, {"recipient": "bob", "text": "x"}),
    ("GET", "/v1/messages/{message_id}"): Route("owners", f"/v1/messages/{MESSAGE}", elsewhere=404),
    ("GET", "/v1/sync"): Route("owners", "/v1/sync"),
    ("GET", "/v1/conversations"): Route("owners", "/v1/conversations"),
    ("GET", "/v1/conversations/{peer}"): Route("owners", "/v1/conversations/bob", elsewhere=404),
    ("PUT", "/v1/conversations/{peer}/read"): Route(
        "owners", "/v1/conversations/bob/read", elsewhere=404, body={"up_to": 0}
    ),
    ("GET", "/v1/conversations/{peer}/messages"): Route("owners", "/v1/conversations/bob/messages"),
    ("GET", "/v1/blocks"): Route("owners", "/v1/blocks"),
    ("PUT", "/v1/blocks/{peer}"): Route("owners", "/v1/blocks/bob", 204, 204),
    ("DELETE", "/v1/blocks/{peer}"): Route("owners", "/v1/blocks/bob", 204, 204),
    ("GET", "/v1/contacts"): Route("owners", "/v1/contacts"),
    ("PUT", "/v1/contacts/{peer}"): Route("owners", "/v1/contacts/bob", 204, 204),
    ("DELETE", "/v1/contacts/{peer}"): Route("owners", "/v1/contacts/bob", 204, 204),
    ("GET", "/v1/privacy"): Route("owners", "/v1/privacy"),
    ("PUT", "/v1/privacy"): Route("owners", "/v1/privacy", body={"who_may_write": "nobody"}),
    ("GET", "/v1/bans"): Route("admins", "/v1/bans"),
    ("PUT", "/v1/bans/{user}"): Route("admins", "/v1/bans/mallory", 204, 204),
    ("DELETE", "/v1/bans/{user}"): Route("admins", "/v1/bans/mallory", 204, 204),
    ("GET", "/v1/users/{user}/profile"): Route("callers", "/v1/users/alice/profile"),
}

NO_CREDENTIAL = {"none", "garbage", "forged", "expired"}
ACTING = {"alice", "alice by jwt", "admin for alice", "alice for herself"}
"""Callers who are alice, or act for her."""


def expected(route: Route, caller: str) -> int:
    """The status that this caller must get."""
    if route.open_to == "all":
        return 200
    if caller in NO_CREDENTIAL:
        return 401
    if route.open_to == "owners":
        return _for_owners(route, caller)
    if route.open_to == "admins":
        if caller.startswith("other app's admin"):
            return route.elsewhere
        return route.status if caller.startswith("admin") else 403
    if route.open_to == "issuers":
        is_vouched_for = caller in {"alice by jwt", "issuer", "issuer for alice"} or "admin" in caller
        return route.status if is_vouched_for else 403
    return 403 if caller == "banned" else route.status


def _for_owners(route: Route, caller: str) -> int:
    if caller in ACTING:
        return route.status
    if caller in {"alice of the other app", "other app's admin for alice"}:
        return route.elsewhere
    return 422 if caller in {"admin", "other app's admin"} else 403


FOR_ALICE = {"user": "alice"}
CALLERS: Mapping[str, Callable[[World], tuple[str | None, dict[str, str]]]] = {
    "none": lambda world: (None, {}),
    "garbage": lambda world: ("garbage", {}),
    "forged": lambda world: (FORGED, {}),
    "expired": lambda world: (world.broker_token("alice", is_expired=True), {}),
    "alice": lambda world: (world.broker_token("alice"), {}),
    "alice for herself": lambda world: (world.broker_token("alice"), FOR_ALICE),
    "alice by jwt": lambda world: (world.app_jwt("alice"), {}),
    "bob for alice": lambda world: (world.broker_token("bob"), FOR_ALICE),
    "alice of the other app": lambda world: (world.broker_token("alice", app="other"), {}),
    "banned": lambda world: (world.broker_token("banned"), {}),
    "issuer": lambda world: (ISSUER_KEY, {}),
    "issuer for alice": lambda world: (ISSUER_KEY, FOR_ALICE),
    "admin": lambda world: (ADMIN_KEY, {}),
    "admin for alice": lambda world: (ADMIN_KEY, FOR_ALICE),
    "other app's admin": lambda world: (OTHER_ADMIN_KEY, {}),
    "other app's admin for alice": lambda world: (OTHER_ADMIN_KEY, FOR_ALICE),
}


@pytest.fixture
async def matrix(world: World) -> World:
    await world.store_message("bob", "alice", "hi")
    await world.call("PUT", "/v1/bans/banned", key=ADMIN_KEY)
    return world


async def test_the_matrix_names_every_route(world: World) -> None:
    paths = world.app.openapi()["paths"]
    assert set(ROUTES) == {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_answers_each_caller_as_it_must(matrix: World, caller: str) -> None:
    found, wanted = {}, {}
    for (method, template), route in ROUTES.items():
        credential, query = CALLERS[caller](matrix)
        answer = await matrix.call(method, route.path, key=credential, params=query, json=route.body)
        found[method, template] = answer.status_code
        wanted[method, template] = expected(route, caller)
    assert found == wanted


async def test_no_counter_that_a_block_moves_is_shown_unless_the_operator_opens_it(world_with: WorldWith) -> None:
    """Who is blocked could send a message, and see there that the policy `block` dropped one."""
    seen = [
        (await world.call("GET", "/metrics", key=key)).status_code
        for world in (world_with(), world_with(is_metrics_open=True))
        for key in (None, world.broker_token("mallory"), ADMIN_KEY)
    ]
    assert seen == [401, 403, 200, 200, 200, 200]


async def test_no_other_user_or_app_sees_anything_of_alices(matrix: World) -> None:
    for template, route in ((name[1], route) for name, route in ROUTES.items() if name[0] == "GET"):
        for caller in ("bob for alice", "alice of the other app", "other app's admin for alice", "issuer for alice"):
            credential, query = CALLERS[caller](matrix)
            answer = await matrix.call("GET", route.path, key=credential, params=query)
            assert MESSAGE not in answer.text, f"{caller} on {template}"


@pytest.mark.parametrize("named", ["alice", "bob", None])
def test_an_issuer_key_acts_for_nobody(named: str | None) -> None:
    with pytest.raises(Problem, match="issuer"):
        user_of(Caller("demo", CallerRole.ISSUER, "backend"), named)


def test_a_user_credential_without_a_user_acts_for_nobody() -> None:
    for named in (None, "alice"):
        with pytest.raises(Problem, match="himself"):
            user_of(Caller("demo", CallerRole.USER, "?"), named)
