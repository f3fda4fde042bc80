"""Keys for the token tests: made once, for RSA keys are slow to make, and copied for each test."""

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from observer.setup.signing_keys import ensure_signing_keys
from observer.tokens.identity import Identities
from observer.tokens.keys import KeyStore
from tests.unit.tokens.credentials import identities


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `observer setup` makes it; not to be changed."""
    folder = tmp_path_factory.mktemp("keys")
    ensure_signing_keys(folder)
    return folder


@pytest.fixture(scope="session")
def foreign_key() -> rsa.RSAPrivateKey:
    """A key that is none of ours."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def folder(made_keys: Path, tmp_path: Path) -> Path:
    """A folder of keys that a test may change."""
    return Path(shutil.copytree(made_keys, tmp_path / "keys"))


@pytest.fixture(scope="session")
def keys(made_keys: Path) -> KeyStore:
    """The keys of a folder that nobody changes: checking an RSA key as it is read takes 50 ms."""
    return KeyStore(made_keys)


@pytest.fixture
def believed(keys: KeyStore, foreign_key: rsa.RSAPrivateKey) -> Identities:
    """Whoever judges the credentials of `credentials.py`."""
    return identities(keys, foreign_key)
