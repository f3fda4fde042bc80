"""Signing keys: read strictly, named by their hash, published without their private half."""

import hashlib
import json
import shutil
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from observer.errors import ConfigError
from observer.setup.signing_keys import PublicKey, ensure_signing_keys
from observer.tokens.keys import SLOTS, KeyStore, generate_key, read_key, read_ring
from observer.tokens.rotation import rotate_keys, write_private


def test_a_key_is_named_by_the_hash_of_its_public_half(folder: Path) -> None:
    key = read_key(folder / "current.pem", "RS256")
    private = serialization.load_pem_private_key((folder / "current.pem").read_bytes(), None)
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert key.kid == hashlib.sha256(der).hexdigest()[:16]


def test_the_broker_is_told_of_every_key_by_the_name_that_tokens_use(folder: Path) -> None:
    ring = rotate_keys(folder)
    assert ensure_signing_keys(folder) == tuple(PublicKey(key.kid, key.public_pem()) for key in ring)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602, 0o644], ids=oct)
def test_a_private_key_that_others_may_touch_is_refused(folder: Path, mode: int) -> None:
    (folder / "next.pem").chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_ring(folder)


def test_a_missing_key_is_said_with_what_makes_it(folder: Path) -> None:
    (folder / "current.pem").unlink()
    with pytest.raises(ConfigError, match=r"current\.pem; `observer setup` makes it"):
        read_ring(folder)


def _pem(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    *,
    password: bytes | None = None,
) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_what_is_no_strong_unencrypted_rsa_key_is_refused(folder: Path, foreign_key: rsa.RSAPrivateKey) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 (weak on purpose)
    for content in (
        b"",
        b"not a key",
        _pem(weak),
        _pem(ec.generate_private_key(ec.SECP256R1())),
        _pem(ed25519.Ed25519PrivateKey.generate()),
        _pem(foreign_key, password=b"secret"),
    ):
        write_private(folder / "current.pem", content)
        with pytest.raises(ConfigError, match=r"current\.pem"):
            read_ring(folder)


def test_the_jwk_set_checks_tokens_and_holds_no_private_number(keys: KeyStore) -> None:
    document = json.loads(json.dumps(keys.ring.jwks()))
    assert all(set(entry) == {"kty", "use", "alg", "kid", "n", "e"} for entry in document["keys"])
    published = jwt.PyJWKSet.from_dict(document)
    token = jwt.encode({"sub": "alice"}, keys.ring.current.signer, "RS256")
    assert jwt.decode(token, published[keys.ring.current.kid].key, ["RS256"]) == {"sub": "alice"}


def test_the_jwk_set_has_every_key_whose_tokens_are_good(folder: Path) -> None:
    ring = rotate_keys(folder)
    assert ring.previous is not None
    kids = [ring.current.kid, ring.next.kid, ring.previous.kid]
    assert [entry["kid"] for entry in ring.jwks()["keys"]] == kids


def test_a_key_in_two_places_is_published_once(folder: Path) -> None:
    """So it is after a rotation that died half way."""
    shutil.copy(folder / "next.pem", folder / "current.pem")
    ring = read_ring(folder)
    assert [entry["kid"] for entry in ring.jwks()["keys"]] == [ring.current.kid]


def test_no_key_shows_itself_in_a_log(keys: KeyStore) -> None:
    key = keys.ring.current
    assert repr(key) == f"SigningKey(kid='{key.kid}', algorithm='RS256')"


def test_shared_keys_are_read_but_never_published(tmp_path: Path) -> None:
    for slot in ("current", "next"):
        write_private(tmp_path / f"{slot}.key", generate_key("HS256"))
    ring = read_ring(tmp_path, "HS256")
    assert ring.jwks() == {"keys": []}
    assert ring.current.kid != ring.next.kid
    secret = (tmp_path / "current.key").read_text().strip()
    assert not any(secret[at : at + 8] in ring.current.kid for at in range(len(secret) - 7)), "it shows in every token"
    for show in (ring.current.public_pem, ring.current.jwk):
        with pytest.raises(ValueError, match="no public half"):
            show()


def test_a_short_shared_key_is_refused(tmp_path: Path) -> None:
    """RFC 7518, 3.2: as long as the hash, 32 bytes."""
    for slot in ("current", "next"):
        write_private(tmp_path / f"{slot}.key", b"x" * 31)
    with pytest.raises(ConfigError, match="shorter than 32 bytes"):
        read_ring(tmp_path, "HS256")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_rotation_by_another_process_is_noticed(folder: Path) -> None:
    clock = Clock()
    keys = KeyStore(folder, clock=clock)
    ring = rotate_keys(folder)
    await keys.refresh()
    assert keys.ring.current.kid == ring.previous.kid if ring.previous else False, "it looks only once a second"
    clock.now += 1.0
    await keys.refresh()
    assert [key.kid for key in keys.ring] == [key.kid for key in ring]


@pytest.mark.parametrize("slot", SLOTS)
async def test_a_change_of_any_one_key_is_noticed(folder: Path, slot: str) -> None:
    """A rotation that died half way changed one file, and the one that completes it another."""
    clock = Clock()
    keys = KeyStore(folder, clock=clock)
    before = {key.kid for key in keys.ring}
    write_private(folder / f"{slot}.pem", generate_key())
    clock.now += 1.0
    await keys.refresh()
    assert len({key.kid for key in keys.ring} - before) == 1


async def test_a_folder_that_is_gone_leaves_the_old_keys_in_place(folder: Path) -> None:
    clock = Clock()
    keys = KeyStore(folder, clock=clock)
    before = keys.ring
    shutil.rmtree(folder)
    clock.now += 1.0
    await keys.refresh()
    assert keys.ring is before


async def test_keys_that_become_unreadable_leave_the_old_ones_in_place(folder: Path) -> None:
    clock = Clock()
    keys = KeyStore(folder, clock=clock)
    before = keys.ring
    (folder / "current.pem").chmod(0o644)
    clock.now += 1.0
    await keys.refresh()
    assert keys.ring is before
    (folder / "current.pem").chmod(0o600)
    clock.now += 1.0
    await keys.refresh()
    assert keys.ring is not before
    assert keys.ring.current.kid == before.current.kid
