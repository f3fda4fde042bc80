"""The keys that sign broker tokens: three files in one folder, read here and written by `rotation.py`.

`current` signs; `next` is known to the broker but signs nothing yet, so that a rotation needs no pause; `previous`
signed until the last rotation, and its tokens may still live. RS256 keys are `*.pem` (PKCS #8), HS256 keys `*.key`.
"""

import asyncio
import base64
import hashlib
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key

from observer.errors import ConfigError

Algorithm: TypeAlias = Literal["RS256", "HS256"]
RSA_BITS = 2048
HMAC_MIN_BYTES = 32
SLOTS = ("current", "next", "previous")
REFRESH_AFTER_S = 1.0
OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key; `kid` names it in the header of a token and on the broker."""

    kid: str
    algorithm: Algorithm
    signer: RSAPrivateKey | bytes = field(repr=False)
    verifier: RSAPublicKey | bytes = field(repr=False)

    def public_pem(self) -> str:
        """The public half, as the broker's configuration wants it. Raises ValueError for a shared (HS256) key."""
        if isinstance(self.verifier, bytes):
            raise ValueError("a shared key has no public half")  # noqa: TRY004 (no wrong type: a wrong kind of key)
        return _public_bytes(self.verifier, serialization.Encoding.PEM).decode()

    def jwk(self) -> dict[str, str]:
        """The public half as a JSON Web Key (RFC 7517). Raises ValueError for a shared (HS256) key."""
        if isinstance(self.verifier, bytes):
            raise ValueError("a shared key has no public half")  # noqa: TRY004 (no wrong type: a wrong kind of key)
        numbers = self.verifier.public_numbers()
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": self.algorithm,
            "kid": self.kid,
            "n": _unsigned(numbers.n),
            "e": _unsigned(numbers.e),
        }


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one moment."""

    current: SigningKey
    next: SigningKey
    previous: SigningKey | None = None

    def __iter__(self) -> Iterator[SigningKey]:
        """Every key whose tokens are good: current, next, previous."""
        yield from (key for key in (self.current, self.next, self.previous) if key is not None)

    def find(self, kid: str) -> SigningKey | None:
        """The key of that id, or None."""
        return next((key for key in self if key.kid == kid), None)

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JWK set; empty with HS256, whose keys have no public half."""
        distinct = {key.kid: key for key in self if key.algorithm == "RS256"}
        return {"keys": [key.jwk() for key in distinct.values()]}


class KeyStore:
    """The keys of a folder, kept up to date with it: another process may rotate them."""

    def __init__(
        self, folder: Path, algorithm: Algorithm = "RS256", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises ConfigError where a key is missing, damaged or open to others."""
        self._folder = folder
        self._algorithm = algorithm
        self._clock = clock
        self._looked_at = clock()
        self._stamp = self._changed_at()
        self.ring = read_ring(folder, algorithm)

    async def refresh(self) -> None:
        """Read the folder again if its files changed; called often, it looks once a second.

        Keys that cannot be read leave the old ring in place: its tokens are good until they expire.
        """
        now = self._clock()
        if now - self._looked_at < REFRESH_AFTER_S:
            return
        self._looked_at = now
        try:
            await asyncio.to_thread(self._read_if_changed)
        except ConfigError as error:
            log.error("signing_keys_unreadable", reason=str(error))  # noqa: TRY400 (the text says it all)

    def _read_if_changed(self) -> None:
        stamp = self._changed_at()
        if stamp != self._stamp:
            self._stamp = stamp
            self.ring = read_ring(self._folder, self._algorithm)

    def _changed_at(self) -> tuple[int, ...]:
        return tuple(_changed_at(key_path(self._folder, slot, self._algorithm)) for slot in SLOTS)


def key_path(folder: Path, slot: str, algorithm: Algorithm) -> Path:
    """Where the key of a slot (`current`, `next`, `previous`) lies."""
    return folder / f"{slot}.{'pem' if algorithm == 'RS256' else 'key'}"


def read_ring(folder: Path, algorithm: Algorithm = "RS256") -> KeyRing:
    """The keys of a folder. Raises ConfigError where one is missing, damaged or open to others."""
    current, following, previous = (key_path(folder, slot, algorithm) for slot in SLOTS)
    return KeyRing(
        current=read_key(current, algorithm),
        next=read_key(following, algorithm),
        previous=read_key(previous, algorithm) if previous.exists() else None,
    )


def read_key(path: Path, algorithm: Algorithm) -> SigningKey:
    """One private key. Raises ConfigError for a file that is missing, damaged or readable by others."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except FileNotFoundError as missing:
        raise ConfigError(f"tokens.keys_dir: there is no key file {path}; `observer setup` makes it") from missing
    except OSError as failed:
        raise ConfigError(f"tokens.keys_dir: cannot read the key file {path}: {failed.strerror}") from failed
    if mode & OTHERS_MAY_READ:
        raise ConfigError(f"tokens.keys_dir: others may read the private key {path}; run `chmod 600 {path}`")
    return decode_key(content, algorithm, shown_as=str(path))


def decode_key(content: bytes, algorithm: Algorithm, *, shown_as: str) -> SigningKey:
    """The key in a file's content. Raises ConfigError, naming the file as `shown_as`, for one that cannot sign."""
    if algorithm == "HS256":
        return _shared_key(content.strip(), shown_as)
    try:
        private = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as damaged:
        raise ConfigError(f"tokens.keys_dir: {shown_as} is not an unencrypted PEM private key") from damaged
    if not isinstance(private, RSAPrivateKey) or private.key_size < RSA_BITS:
        raise ConfigError(f"tokens.keys_dir: {shown_as} is not an RSA key of at least {RSA_BITS} bits")
    return SigningKey(kid_of(private.public_key()), "RS256", private, private.public_key())


def kid_of(public: RSAPublicKey) -> str:
    """A key's id: the first 16 hex digits of the SHA-256 of its SubjectPublicKeyInfo (DER)."""
    return hashlib.sha256(_public_bytes(public, serialization.Encoding.DER)).hexdigest()[:16]


def generate_key(algorithm: Algorithm = "RS256") -> bytes:
    """A new private key, as the content of its file."""
    if algorithm == "HS256":
        return secrets.token_hex(HMAC_MIN_BYTES).encode() + b"\n"
    return generate_private_key(public_exponent=65537, key_size=RSA_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _shared_key(secret: bytes, shown_as: str) -> SigningKey:
    if len(secret) < HMAC_MIN_BYTES:
        raise ConfigError(f"tokens.keys_dir: {shown_as} is shorter than {HMAC_MIN_BYTES} bytes")
    kid = hashlib.sha256(b"kid of " + secret).hexdigest()[:16]
    return SigningKey(kid, "HS256", secret, secret)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return 0  # missing or out of reach: reading it says which


def _public_bytes(public: RSAPublicKey, encoding: serialization.Encoding) -> bytes:
    return public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _unsigned(number: int) -> str:
    """A number as RFC 7518 (6.3.1) spells it: big-endian, base64url, unpadded."""
    content = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
