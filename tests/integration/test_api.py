"""The HTTP API over real sockets: how it is served, and what a request does to the clients on the broker."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from observer.api import listen, serve
from observer.errors import ConfigError
from observer.setup.signing_keys import ensure_signing_keys
from observer.tokens.keys import KeyStore
from tests.services.observer import RunningObserver
from tests.services.people import Person, connected
from tests.unit.api.world import World, build_world, new_store

TIMEOUT_S = 20.0
TOUR = Path(__file__).parents[2] / "docs/api.md"


@asynccontextmanager
async def served(app: ASGIApp, trusted_proxies: Sequence[str] = ()) -> AsyncIterator[str]:
    """The base URL of `app` on a free port of loopback; stopped in order afterwards."""
    listener = listen("127.0.0.1", 0)
    stop = asyncio.Event()
    port = listener.getsockname()[1]
    async with asyncio.timeout(TIMEOUT_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, listener, stop=stop, drain_timeout_s=5, trusted_proxies=trusted_proxies))
        yield f"http://127.0.0.1:{port}"
        stop.set()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    ensure_signing_keys(tmp_path / "keys")
    store = new_store(tmp_path)
    await store.open()
    world = build_world(store, KeyStore(tmp_path / "keys"), max_body_bytes=1024)
    yield world
    await world.client.aclose()
    await store.close()


async def client_address(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers whom it takes for the client."""
    request = Request(scope)
    await PlainTextResponse(request.client.host if request.client else "")(scope, receive, send)


def test_a_taken_port_is_refused_with_the_key_to_change() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="OBSERVER_API__PORT"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_an_address_that_is_not_ours_is_refused_with_the_key_to_change() -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(ConfigError, match="OBSERVER_API__HOST"):
            listen(host, 0)


async def test_a_request_in_flight_is_answered_before_the_server_stops() -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        await go_on.wait()
        await PlainTextResponse("done")(scope, receive, send)

    listener, stop = listen("127.0.0.1", 0), asyncio.Event()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with asyncio.timeout(TIMEOUT_S), httpx.AsyncClient() as client:
        server = asyncio.create_task(serve(slow, listener, stop=stop, drain_timeout_s=10))
        request = asyncio.create_task(client.get(url))
        await arrived.wait()
        stop.set()
        while listener.fileno() != -1:  # noqa: ASYNC110 (uvicorn tells nobody when it stops listening)
            await asyncio.sleep(0.01)
        with pytest.raises(httpx.ConnectError):
            await client.get(url)
        assert not server.done()
        go_on.set()
        assert (await request).text == "done"
        await server


async def test_a_cancelled_server_gives_its_port_back_at_once() -> None:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = asyncio.create_task(serve(client_address, listener, stop=asyncio.Event(), drain_timeout_s=10))
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}")
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{port}")
    listen("127.0.0.1", port).close()


async def test_signals_stay_with_the_program() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with served(client_address) as url, httpx.AsyncClient() as client:
        await client.get(url)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(("trusted", "seen"), [((), "127.0.0.1"), (("127.0.0.1",), "198.51.100.7")])
async def test_a_forwarded_address_is_believed_from_trusted_proxies_only(trusted: tuple[str, ...], seen: str) -> None:
    async with served(client_address, trusted) as url, httpx.AsyncClient() as client:
        answer = await client.get(url, headers={"X-Forwarded-For": "198.51.100.7"})
    assert answer.text == seen


async def test_an_endless_body_is_cut_off_at_the_limit(world: World) -> None:
    async with served(world.app) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"200\r\n%b\r\n" % (b" " * 512) * 3
        )
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too_large"' in answer


async def test_the_api_answers_over_a_real_socket(world: World) -> None:
    await world.store_message("bob", "alice", "hi")
    headers = {"Authorization": f"Bearer {world.broker_token('alice')}"}
    async with served(world.app) as url, httpx.AsyncClient(base_url=url) as client:
        assert [m["text"] for m in (await client.get("/v1/sync", headers=headers)).json()["messages"]] == ["hi"]
        assert (await client.get("/v1/sync")).json()["code"] == "not_authenticated"
        assert "server" not in (await client.get("/livez")).headers


def wait_for(answer: Callable[[], httpx.Response], status: int, by: Person) -> Any:
    """Ask again until the answer has this status."""
    found: list[httpx.Response] = []

    def is_there() -> bool:
        found.append(answer())
        return found[-1].status_code == status

    by.wait_until(is_there, f"status {status}")
    return found[-1].json()


@pytest.mark.broker
def test_a_message_sent_over_http_arrives_by_mqtt_under_the_id_that_was_told(observer: RunningObserver) -> None:
    bob = observer.person("bob")
    with connected(bob), observer.api("alice") as api, observer.api("bob") as bobs_api:
        sent = {"recipient": "bob", "text": "over http", "mood": "fine", "client_message_id": "a-1"}
        told = api.post("/v1/messages", json=sent)
        assert told.status_code == 202
        bob.wait_for_texts("over http")
        copy = next(one for one in bob.inbox if one["text"] == "over http")
        assert (copy["message_id"], copy["mood"], copy["status"]) == (told.json()["message_id"], "fine", 150)
        assert bobs_api.get(told.headers["Location"]).json() == copy | {"peer": "alice"}
        assert api.post("/v1/messages", json=sent).json() == told.json(), "a repeat is the same message"
        timeline = bobs_api.get("/v1/sync").json()["messages"]
        assert [one["text"] for one in timeline] == ["over http"]


@pytest.mark.broker
def test_a_block_holds_for_the_next_message_and_is_not_seen_by_the_blocked(observer: RunningObserver) -> None:
    alice, bob = observer.person("alice"), observer.person("bob")
    with connected(alice, bob), observer.api("alice") as alices_api, observer.api("bob") as bobs_api:
        bob.send("alice", "before")
        alice.wait_for_texts("before")
        assert alices_api.put("/v1/blocks/bob").status_code == 204
        told = bobs_api.post("/v1/messages", json={"recipient": "alice", "text": "blocked"})
        seen = wait_for(lambda: bobs_api.get(told.headers["Location"]), 200, bob)
        assert seen["status"] == 100
        bob.send("bob", "a note to himself, after it")
        bob.wait_for_texts("a note to himself, after it")
        assert alices_api.delete("/v1/blocks/bob").status_code == 204
        bob.send("alice", "after")
        alice.wait_for_texts("after")
        assert alice.texts() == ["before", "after"]
        assert [one["text"] for one in alices_api.get("/v1/sync").json()["messages"]] == ["before", "after"]
        assert alices_api.get(told.headers["Location"]).status_code == 404


@pytest.mark.broker
def test_a_message_that_a_policy_refuses_is_never_found_and_its_sender_is_told(observer: RunningObserver) -> None:
    alice = observer.person("alice")
    with connected(alice), observer.api("alice") as api, observer.api("bob") as bobs_api:
        assert bobs_api.put("/v1/privacy", json={"who_may_write": "nobody"}).status_code == 200
        sent = {"recipient": "bob", "text": "hello?", "client_message_id": "a-1"}
        told = api.post("/v1/messages", json=sent)
        assert told.status_code == 202
        refusal = alice.wait_for_refusal("not_allowed")
        assert (refusal["client_message_id"], refusal["recipient"]) == ("a-1", "bob")
        assert api.get(told.headers["Location"]).status_code == 404


@pytest.mark.broker
def test_a_ban_stops_messages_and_tokens_at_once(observer: RunningObserver) -> None:
    mallory = observer.person("mallory")
    with connected(mallory), observer.api() as admin:
        assert admin.put("/v1/bans/mallory", json={"reason": "spam"}).status_code == 204
        mallory.send("alice", "buy!")
        assert mallory.wait_for_refusal("banned")["reason"] == "spam"
        assert admin.post("/v1/tokens", json={"user": "mallory"}).json()["code"] == "banned"
        assert admin.get("/v1/conversations", params={"user": "alice"}).json()["conversations"] == []


@pytest.mark.broker
@pytest.mark.skipif(shutil.which("curl") is None and "CI" not in os.environ, reason="curl is not installed")
def test_the_tour_in_the_docs_runs_as_it_is_written(observer: RunningObserver) -> None:
    """Every `sh` block of docs/api.md, in order, in one shell that stops at the first failure."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TOUR.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    environment = {"PATH": os.environ["PATH"], "API": observer.api_url, "KEY": observer.api_key}
    script = "set -euo pipefail\n" + "\n".join(blocks)
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for seen in ('"mood":"fine"', '"status":150', '"unread":1', '"unread":0', '"user":"mallory"', "not_authenticated"):
        assert seen in done.stdout
