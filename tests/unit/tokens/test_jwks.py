"""An issuer's public keys: fetched rarely, from where nobody can change them, never more than a little."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from observer.errors import ConfigError
from observer.tokens import jwks
from observer.tokens.claims import UnprovenError
from observer.tokens.jwks import REFETCH_AFTER_S, STALE_AFTER_S, TTL_S, JwksKeys, decode_jwks
from observer.tokens.keys import KeyRing, KeyStore


@dataclass
class JwksServer:
    """An issuer's web server: answers what a test wants, and counts."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"keys":[]}'
    requests: int = 0

    def publish(self, ring: KeyRing) -> None:
        self.body = json.dumps(ring.jwks()).encode()


@pytest.fixture
def server() -> Iterator[JwksServer]:
    served = JwksServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests += 1
            self.send_response(served.status)
            for name, value in {"Content-Length": str(len(served.body)), **served.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(served.body)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        served.url = f"http://127.0.0.1:{listening.server_address[1]}/jwks"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        listening.shutdown()
        thread.join()


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def published(server: JwksServer, clock: Clock) -> JwksKeys:
    return JwksKeys(server.url, name="identity.issuers.shop.jwks_url", clock=clock)


async def test_a_key_is_fetched_once_and_kept(server: JwksServer, published: JwksKeys, keys: KeyStore) -> None:
    server.publish(keys.ring)
    for key in (keys.ring.current, keys.ring.next, keys.ring.current):
        found = await published.find(key.kid)
        assert found.public_numbers() == rsa_numbers(key.verifier)
    assert server.requests == 1


def rsa_numbers(key: object) -> rsa.RSAPublicNumbers:
    assert isinstance(key, rsa.RSAPublicKey)
    return key.public_numbers()


async def test_a_key_that_the_issuer_made_since_is_fetched(
    server: JwksServer, published: JwksKeys, keys: KeyStore, clock: Clock
) -> None:
    with pytest.raises(UnprovenError):
        await published.find(keys.ring.current.kid)
    server.publish(keys.ring)
    clock.now += REFETCH_AFTER_S + 1
    await published.find(keys.ring.current.kid)
    assert server.requests == 2


async def test_made_up_key_ids_do_not_make_us_ask_again_and_again(
    server: JwksServer, published: JwksKeys, keys: KeyStore
) -> None:
    server.publish(keys.ring)
    for kid in ("a", "b", "c", None):
        with pytest.raises(UnprovenError):
            await published.find(kid)
    assert server.requests == 1


async def test_a_withdrawn_key_ends_with_its_time(
    server: JwksServer, published: JwksKeys, keys: KeyStore, clock: Clock
) -> None:
    server.publish(keys.ring)
    await published.find(keys.ring.current.kid)
    server.body = b'{"keys":[]}'
    clock.now += TTL_S + 1
    with pytest.raises(UnprovenError):
        await published.find(keys.ring.current.kid)


async def test_an_issuer_out_of_reach_keeps_its_keys_for_a_while_only(
    server: JwksServer, published: JwksKeys, keys: KeyStore, clock: Clock
) -> None:
    server.publish(keys.ring)
    await published.find(keys.ring.current.kid)
    server.status = 503
    clock.now += TTL_S + 1
    await published.find(keys.ring.current.kid)
    assert server.requests == 2
    clock.now += STALE_AFTER_S
    with pytest.raises(UnprovenError, match="can not be had"):
        await published.find(keys.ring.current.kid)


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""),
        (200, {}, b"not JSON"),
        (200, {}, b"[]"),
        (200, {}, b'{"keys":{}}'),
        (200, {}, b'{"keys":[]}' + b" " * jwks.MAX_BYTES),
        (200, {"Content-Length": "99"}, b'{"keys":['),
    ],
    ids=["redirect", "no JSON", "no object", "no list", "too large", "cut off"],
)
async def test_an_answer_that_is_no_jwk_set_gives_no_key(
    server: JwksServer, published: JwksKeys, status: int, headers: dict[str, str], body: bytes
) -> None:
    server.status, server.headers, server.body = status, headers, body
    with pytest.raises(UnprovenError):
        await published.find("any")


async def test_a_key_without_id_serves_where_it_is_the_only_one(
    server: JwksServer, published: JwksKeys, keys: KeyStore
) -> None:
    entry = {**keys.ring.current.jwk()}
    del entry["kid"]
    server.body = json.dumps({"keys": [entry]}).encode()
    assert (await published.find(None)).public_numbers() == rsa_numbers(keys.ring.current.verifier)


def test_only_strong_rsa_keys_for_signatures_are_taken(keys: KeyStore) -> None:
    good = keys.ring.current.jwk()
    bad: list[object] = [
        {**good, "use": "enc"},
        {**good, "alg": "RS512"},
        {**good, "n": "AQAB"},
        {**good, "n": "!!"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": good["kid"]},
        {"kty": "EC"},
        "text",
        None,
    ]
    assert decode_jwks(json.dumps({"keys": bad}).encode()) == {}
    assert set(decode_jwks(json.dumps({"keys": [*bad, good]}).encode())) == {good["kid"]}


@pytest.mark.parametrize(
    "url", ["https://id.example.com/jwks", "http://127.0.0.1:8000/jwks", "http://localhost/jwks", "http://[::1]/jwks"]
)
def test_keys_come_over_tls_or_from_this_machine(url: str) -> None:
    assert jwks.check_url(url, name="x") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/jwks",
        "http://127.0.0.1.example.com/",
        "http://10.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "",
    ],
)
def test_keys_that_somebody_on_the_way_could_change_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"identity\.issuers\.shop"):
        JwksKeys(url, name="identity.issuers.shop.jwks_url")
