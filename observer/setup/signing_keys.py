"""The keys that sign broker tokens: made once, never overwritten.

Layout of the folder, agreed with `observer/tokens/keys.py`: `current.pem` signs, `next.pem` is already known to the
broker and signs after a rotation, `previous.pem` (if there) signed before it. All are RSA private keys, PKCS 8, mode
0600. A key's id is the first 16 hex digits of the SHA-256 of its public half (DER, SubjectPublicKeyInfo).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from observer.errors import ConfigError
from observer.setup.files import make_folder, write_once

KEY_BITS = 2048
KEPT_KEYS = ("current", "next")
KNOWN_KEYS = ("current", "next", "previous")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a signing key, as the broker is given it."""

    key_id: str
    pem: bytes


def ensure_signing_keys(keys_dir: Path) -> tuple[PublicKey, ...]:
    """Make the keys that are missing in `keys_dir`; return the public halves of all, the signing one first."""
    make_folder(keys_dir, mode=0o700)
    for name in KEPT_KEYS:
        if not (keys_dir / f"{name}.pem").exists():
            write_once(keys_dir / f"{name}.pem", new_private_key())
    return public_keys(keys_dir)


def public_keys(keys_dir: Path) -> tuple[PublicKey, ...]:
    """The public halves of the keys in `keys_dir`, the signing one first. Raises ConfigError for an unreadable key."""
    paths = [keys_dir / f"{name}.pem" for name in KNOWN_KEYS]
    return tuple(public_half(path) for path in paths if path.exists())


def new_private_key() -> bytes:
    """A fresh RSA private key as PKCS 8 PEM."""
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_half(path: Path) -> PublicKey:
    """The public half of the private key in `path`."""
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a private key that can be read: {error}. Restore it from a backup."
        ) from error
    public = private.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(hashlib.sha256(der).hexdigest()[:16], pem)
