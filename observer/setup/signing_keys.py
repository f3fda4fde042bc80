"""The keys that sign broker tokens: made once, never overwritten, their public halves handed to the broker.

The folder's layout is that of `observer/tokens/keys.py`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from observer.setup.files import make_folder, write_once
from observer.tokens.keys import Algorithm, SigningKey, generate_key, key_path, read_ring


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What the broker checks RS256 tokens with."""

    key_id: str
    pem: str


@dataclass(frozen=True, slots=True)
class SharedKey:
    """What the broker checks HS256 tokens with; whoever holds it can also sign."""

    key_id: str
    secret: bytes = field(repr=False)


BrokerKey = PublicKey | SharedKey


def ensure_signing_keys(keys_dir: Path, algorithm: Algorithm = "RS256") -> tuple[BrokerKey, ...]:
    """Make the keys that are missing in `keys_dir`; return what the broker needs of all, the signing one first.

    Raises ConfigError for a folder that cannot be written, or a key that is damaged or open to others.
    """
    make_folder(keys_dir, mode=0o700)
    for slot in ("current", "next"):
        path = key_path(keys_dir, slot, algorithm)
        if not path.exists():
            write_once(path, generate_key(algorithm))
    return tuple(as_broker_key(key) for key in read_ring(keys_dir, algorithm))


def as_broker_key(key: SigningKey) -> BrokerKey:
    """The half of `key` that checks signatures."""
    if isinstance(key.verifier, bytes):
        return SharedKey(key.kid, key.verifier)
    return PublicKey(key.kid, key.public_pem())
