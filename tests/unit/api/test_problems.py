"""Every error is a problem detail (RFC 9457) with a code, whatever went wrong and wherever."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from observer.api.problems import KINDS
from observer.errors import StoreUnavailable
from tests.unit.api.conftest import WorldWith
from tests.unit.api.world import ADMIN_KEY, World

JSON = {"Content-Type": "application/json"}


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"] == f"urn:inbox-observer:problem:{code}"
    assert problem["title"] == KINDS[code].title
    assert problem["detail"]
    assert problem["instance"] == f"urn:uuid:{answer.headers['X-Request-Id']}"
    return problem


async def test_a_path_that_is_not_there(world: World) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v1/tokens/", "/docs/../etc", "/v1/blocks/a/b", "/openapi"):
        check_problem(await world.call("GET", path), 404, "not_found")


async def test_a_method_that_does_not_fit_is_told_which_do(world: World) -> None:
    for method in ("DELETE", "PATCH", "TRACE", "OPTIONS"):
        answer = await world.call(method, "/v1/sync")
        check_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Basic YTpi", "Bearer garbage", "bearer a.b.c", "Bearer é", "Token x"]
)
async def test_no_credential_or_one_that_does_not_hold(world: World, authorization: str | None) -> None:
    headers = httpx.Headers({} if authorization is None else {"Authorization": authorization}, encoding="latin-1")
    answer = await world.client.get("/v1/sync", headers=headers)
    check_problem(answer, 401, answer.json()["code"])
    assert answer.headers["WWW-Authenticate"].startswith("Bearer realm=")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"NaN",
        b'{"recipient": "bob", "x": 1e999}',
        b'"\\ud800"',
        b"[" * 5000 + b"]" * 5000,
        b"{} {}",
    ],
)
async def test_a_body_that_is_not_json(world: World, body: bytes) -> None:
    answer = await world.call("POST", "/v1/messages", as_user="alice", content=body, headers=JSON)
    check_problem(answer, 400, "invalid_json")


async def test_a_body_nested_as_deep_as_can_be_read(world: World) -> None:
    """The reader of Python 3.11 gives up before it sees that this is no object; later ones see it."""
    body = b"[" * 1020 + b"]" * 1020
    answer = await world.call("POST", "/v1/messages", as_user="alice", content=body, headers=JSON)
    if sys.version_info < (3, 12):
        check_problem(answer, 400, "invalid_json")
    else:
        check_problem(answer, 422, "invalid_request")


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", ";"]
)
async def test_a_body_that_is_not_declared_as_json(world: World, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    answer = await world.call("POST", "/v1/messages", as_user="alice", content=b"{}", headers=headers)
    check_problem(answer, 415, "unsupported_media_type")


async def test_a_body_with_a_charset_is_json_too(world: World) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    body = b'{"recipient": "bob"}'
    assert (await world.call("POST", "/v1/messages", as_user="alice", content=body, headers=headers)).status_code == 202


async def in_pieces(pieces: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield b" " * size


async def test_a_body_that_is_too_large_by_its_own_word_is_not_read(world_with: WorldWith) -> None:
    world = world_with(max_body_bytes=1024)
    largest = b'{"recipient": "bob"}'.ljust(1024)
    answer = await world.call("POST", "/v1/messages", as_user="alice", content=largest, headers=JSON)
    assert answer.status_code == 202
    answer = await world.call("POST", "/v1/messages", as_user="alice", content=largest + b" ", headers=JSON)
    check_problem(answer, 413, "too_large")
    assert answer.headers["Connection"] == "close"


async def test_a_body_that_grows_too_large_is_cut_off(world_with: WorldWith) -> None:
    world = world_with(max_body_bytes=1024)
    endless = in_pieces(1_000_000, 100)
    answer = await world.call("POST", "/v1/messages", as_user="alice", content=endless, headers=JSON)
    check_problem(answer, 413, "too_large")
    assert await anext(endless), "the rest was not read"
    await endless.aclose()  # type: ignore[attr-defined]


async def test_a_body_that_never_comes_is_given_up(world_with: WorldWith) -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    world = world_with(body_timeout_s=0.01)
    answer = await world.call("POST", "/v1/messages", as_user="alice", content=never(), headers=JSON)
    check_problem(answer, 408, "body_too_slow")


async def test_fields_that_are_wrong_are_named_but_not_repeated(world: World) -> None:
    answer = await world.call("POST", "/v1/tokens", key=ADMIN_KEY, json={"user": ["s3cret"], "profile": "s3cret"})
    problem = check_problem(answer, 422, "invalid_request")
    assert {fault["where"] for fault in problem["errors"]} == {"body.user", "body.profile"}
    assert "s3cret" not in answer.text


async def test_too_many_requests_of_one_caller(world_with: WorldWith) -> None:
    world = world_with(rate_capacity=2, rate_refill_per_s=0.5)
    answers = [await world.call("GET", "/v1/privacy", as_user="alice") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    check_problem(answers[2], 429, "rate_limited")
    assert answers[2].headers["Retry-After"] == "2"
    assert (await world.call("GET", "/v1/privacy", as_user="bob")).status_code == 200, "another caller"
    assert (await world.call("GET", "/v1/privacy", key=world.app_jwt("alice"))).status_code == 429, "the same user"
    world.clock.advance(2)
    assert (await world.call("GET", "/v1/privacy", as_user="alice")).status_code == 200


async def test_too_many_requests_of_one_address_without_any_credential(world_with: WorldWith) -> None:
    world = world_with(rate_capacity=1, rate_refill_per_s=1.0)
    answers = [await world.call("GET", "/v1/sync") for _ in range(11)]
    assert [one.status_code for one in answers] == [401] * 10 + [429]
    check_problem(answers[-1], 429, "rate_limited")
    for probe in ("/livez", "/readyz"):
        assert (await world.call("GET", probe)).status_code == 200, "probes are never refused"


async def test_a_store_that_does_not_answer(world: World) -> None:
    await world.store.close()
    answer = await world.call("GET", "/v1/sync", as_user="alice")
    check_problem(answer, 503, "store_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "observer.db" not in answer.text
    await world.store.open()


async def test_a_bug_is_answered_without_its_words_and_logged_with_the_same_id(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the password is 1234")

    monkeypatch.setattr(world.store, "privacy", broken, raising=True)
    with capture_logs() as logs:
        answer = await world.call("GET", "/v1/privacy", as_user="alice")
    check_problem(answer, 500, "internal_error")
    assert "1234" not in answer.text
    assert [one["route"] for one in logs if one["event"] == "request_failed"] == ["/v1/privacy"]


async def test_the_log_holds_neither_path_nor_query_nor_credential(world: World) -> None:
    with capture_logs() as logs:
        await world.call("GET", "/v1/conversations/bob?before=s3cret", as_user="alice")
    assert [one["route"] for one in logs] == ["/v1/conversations/{peer}"]
    assert not any(word in str(logs) for word in ("s3cret", "bob", "Bearer", "eyJ"))


async def test_not_ready_says_why(world: World) -> None:
    world.health.missing = ["The broker does not answer."]
    problem = check_problem(await world.call("GET", "/readyz"), 503, "not_ready")
    assert problem["reasons"] == ["The broker does not answer."]
    assert (await world.call("GET", "/livez")).status_code == 200


async def test_an_unavailable_identity_provider_is_not_the_callers_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(_: str) -> None:
        raise StoreUnavailable("keys out of reach")

    monkeypatch.setattr(world.app.state.services.identifier, "identify", down)
    check_problem(await world.call("GET", "/v1/sync", as_user="alice"), 503, "store_unavailable")


async def test_other_origins_are_let_in_only_where_they_are_named(world_with: WorldWith) -> None:
    origin = {"Origin": "https://chat.example"}
    closed = await world_with().call("GET", "/livez", headers=origin)
    opened = await world_with(cors_origins=("https://chat.example",)).call("GET", "/v1/sync", headers=origin)
    assert "Access-Control-Allow-Origin" not in closed.headers
    assert opened.status_code == 401
    assert opened.headers["Access-Control-Allow-Origin"] == "https://chat.example", "an error can be read too"
