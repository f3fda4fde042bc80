"""The public keys of an embedding app, fetched from its JWKS address and kept for a while."""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from observer.errors import ConfigError
from observer.tokens.claims import UnprovenError
from observer.tokens.keys import RSA_BITS

TTL_S = 600.0
REFETCH_AFTER_S = 30.0
"""An unknown key id makes us ask again, but not more often than this; meanwhile it is refused at once."""
STALE_AFTER_S = 3600.0
"""Keys go on being good while the address is out of reach, but not longer than this."""
TIMEOUT_S = 5.0
MAX_BYTES = 262_144

log = structlog.get_logger()


class JwksKeys:
    """The keys behind one address. Fetched when first needed, one request at a time."""

    def __init__(self, url: str, *, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`name` is the setting that holds the address. Raises ConfigError for one that is neither https nor local."""
        self._url = check_url(url, name=name)
        self._name = name
        self._clock = clock
        self._context = ssl.create_default_context()
        self._has_asked = asyncio.Event()
        self._keys: Mapping[str, RSAPublicKey] = {}
        self._fetched_at = self._asked_at = float("-inf")

    async def find(self, kid: str | None) -> RSAPublicKey:
        """The key of that id; without an id the only key there is. Raises UnprovenError."""
        if self._is_due(kid):
            await self._fetch()
        # Only the first time do others wait for who asks: anybody can make up key ids, and an address can be slow.
        await self._has_asked.wait()
        if self._clock() - self._fetched_at > STALE_AFTER_S:
            raise UnprovenError("the issuer's keys cannot be had")
        key = self._pick(kid)
        if key is None:
            raise UnprovenError("signed with a key that the issuer does not publish")
        return key

    def _pick(self, kid: str | None) -> RSAPublicKey | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    def _is_due(self, kid: str | None) -> bool:
        now = self._clock()
        is_wanting = self._pick(kid) is None or now - self._fetched_at > TTL_S
        return is_wanting and now - self._asked_at > REFETCH_AFTER_S

    async def _fetch(self) -> None:
        self._asked_at = self._clock()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._keys = decode_jwks(await download(self._url, self._context))
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            log.warning("jwks_fetch_failed", setting=self._name, reason=type(error).__name__)
        else:
            self._fetched_at = self._clock()
        finally:
            self._has_asked.set()


def check_url(url: str, *, name: str) -> str:
    """Return a JWKS address that nobody on the way can change: https, or http on this machine. Raises ConfigError."""
    parts = urlsplit(url)
    if parts.hostname and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname))):
        return url
    raise ConfigError(f"{name}: {url!r} is neither an https address nor an http one on loopback")


def decode_jwks(document: bytes) -> Mapping[str, RSAPublicKey]:
    """The RS256 keys of a JWK set by id; others are passed over. Raises ValueError for what is no JWK set."""
    content = orjson.loads(document)
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise ValueError("not a JWK set")  # noqa: TRY004 (no wrong type: wrong content)
    decoded = (_rs256_key(entry) for entry in content["keys"] if isinstance(entry, dict))
    return dict(pair for pair in decoded if pair is not None)


async def download(url: str, context: ssl.SSLContext) -> bytes:
    """The document at an address: no redirects, no proxy, no compression, at most MAX_BYTES.

    Raises httpx.HTTPError, or ValueError where the answer is not a document of that size.
    """
    content = bytearray()
    async with (
        httpx.AsyncClient(verify=context, trust_env=False, timeout=TIMEOUT_S) as client,
        client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
    ):
        if response.status_code != httpx.codes.OK:
            raise ValueError(f"status {response.status_code}")
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
    return bytes(content)


def _rs256_key(entry: Mapping[str, Any]) -> tuple[str, RSAPublicKey] | None:
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    try:
        key = jwt.PyJWK(dict(entry), "RS256").key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS:
        return None
    return str(entry.get("kid", "")), key


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
