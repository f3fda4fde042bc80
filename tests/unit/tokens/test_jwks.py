"""An issuer's public keys: fetched rarely, from where nobody can change them, never more than a little."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from observer.errors import ConfigError
from observer.setup.certificates import ensure_certificates
from observer.tokens import jwks
from observer.tokens.claims import UnprovenError
from observer.tokens.jwks import REFETCH_AFTER_S, STALE_AFTER_S, TTL_S, JwksKeys, decode_jwks
from observer.tokens.keys import KeyStore
from tests.unit.tokens.jwks_server import MOVED, JwksServer, serving


@pytest.fixture
def server() -> Iterator[JwksServer]:
    with serving() as served:
        yield served


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
    with pytest.raises(UnprovenError, match="cannot be had"):
        await published.find(keys.ring.current.kid)


@asynccontextmanager
async def slow_answer(server: JwksServer, published: JwksKeys, kid: str) -> AsyncIterator[None]:
    """While this lasts, somebody who shows `kid` waits for the issuer's server."""
    server.headers, server.never_ends = {"Content-Length": str(jwks.MAX_BYTES)}, True
    asking = asyncio.create_task(published.find(kid))
    assert await asyncio.to_thread(server.is_dripping.wait, 30)
    yield
    assert not asking.done()
    server.never_ends = False
    await asyncio.gather(asking, return_exceptions=True)


async def test_who_has_an_old_key_does_not_wait_for_a_new_one(
    server: JwksServer, published: JwksKeys, keys: KeyStore, clock: Clock
) -> None:
    """An issuer's slow server slows one request down, not all."""
    kid = keys.ring.current.kid
    server.publish(keys.ring)
    await published.find(kid)
    clock.now += TTL_S + 1
    async with slow_answer(server, published, kid):
        await published.find(kid)


@pytest.mark.parametrize("answers_before", [True, False], ids=["keys at hand", "none yet"])
async def test_a_made_up_key_id_makes_nobody_wait_but_who_asks(
    server: JwksServer, published: JwksKeys, keys: KeyStore, clock: Clock, *, answers_before: bool
) -> None:
    """Else a few callers without any credential could keep every turn of the HTTP API busy."""
    server.publish(keys.ring)
    server.status = 200 if answers_before else 503
    with pytest.raises(UnprovenError):
        await published.find("made up")
    server.status = 200
    clock.now += REFETCH_AFTER_S + 1
    async with slow_answer(server, published, "made up too"):
        for kid in ("a", "b", None):
            with pytest.raises(UnprovenError):
                await published.find(kid)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"not JSON"),
        ({}, b"[]"),
        ({}, b'{"keys":{}}'),
        ({"Content-Length": "99"}, b'{"keys":['),
    ],
    ids=["no JSON", "no object", "no list", "cut off"],
)
async def test_an_answer_that_is_no_jwk_set_gives_no_key(
    server: JwksServer, published: JwksKeys, headers: dict[str, str], body: bytes
) -> None:
    server.headers, server.body = headers, body
    with pytest.raises(UnprovenError):
        await published.find("any")


async def found(server: JwksServer, keys: KeyStore) -> bool:
    """Whether the key that the server holds is found by who asks for the first time."""
    try:
        await JwksKeys(server.url, name="identity.issuers.shop.jwks_url").find(keys.ring.current.kid)
    except UnprovenError:
        return False
    return True


async def test_a_redirect_is_not_followed(server: JwksServer, keys: KeyStore) -> None:
    """It may lead to where somebody on the way can change the keys."""
    server.redirect(keys.ring)
    assert not await found(server, keys)
    server.url += MOVED
    assert await found(server, keys)


async def test_an_answer_has_a_limit_to_the_byte(server: JwksServer, keys: KeyStore) -> None:
    server.publish(keys.ring)
    server.body = server.body.ljust(jwks.MAX_BYTES)
    assert await found(server, keys)
    server.body += b" "
    assert not await found(server, keys)


async def test_a_packed_answer_is_not_unpacked(server: JwksServer, keys: KeyStore) -> None:
    """A few bytes of it could fill the memory; we ask for none."""
    server.publish(keys.ring)
    server.body, server.headers = gzip.compress(server.body), {"Content-Encoding": "gzip"}
    assert not await found(server, keys)


async def test_an_answer_that_never_ends_is_given_up(
    server: JwksServer, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something comes all the time, so no single read takes long."""
    monkeypatch.setattr(jwks, "TIMEOUT_S", 0.2)
    server.publish(keys.ring)
    server.headers, server.never_ends = {"Content-Length": str(jwks.MAX_BYTES)}, True
    assert not await found(server, keys)


async def test_the_proxy_of_the_environment_is_not_asked(
    server: JwksServer, keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    server.publish(keys.ring)
    assert await found(server, keys)


async def test_a_server_whose_certificate_nobody_vouches_for_gives_no_key(
    keys: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_certificates(tmp_path, server_names=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")
    with serving(context) as server:
        server.publish(keys.ring)
        assert not await found(server, keys)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert await found(server, keys), "with the authority that signed it"


async def test_who_come_at_the_same_time_ask_once(server: JwksServer, published: JwksKeys, keys: KeyStore) -> None:
    server.publish(keys.ring)
    await asyncio.gather(*(published.find(keys.ring.current.kid) for _ in range(5)))
    assert server.requests == 1


async def test_a_key_without_id_serves_where_it_is_the_only_one(
    server: JwksServer, published: JwksKeys, keys: KeyStore
) -> None:
    entry = {**keys.ring.current.jwk()}
    del entry["kid"]
    server.body = json.dumps({"keys": [entry]}).encode()
    assert (await published.find(None)).public_numbers() == rsa_numbers(keys.ring.current.verifier)


def test_only_strong_rsa_keys_for_signatures_are_taken(keys: KeyStore) -> None:
    good = keys.ring.current.jwk()
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (weak on purpose)
    bad: list[object] = [
        {**good, "use": "enc"},
        {**good, "alg": "RS512"},
        {**good, "n": "AQAB"},
        {**good, "n": "!!"},
        {**jwt.algorithms.RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True), "kid": good["kid"]},
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
