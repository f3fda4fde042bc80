"""The private authority and what it signs."""

import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import DNSName, IPAddress
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from observer.errors import ConfigError
from observer.setup.certificates import ensure_certificates


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with certificates for `localhost` and 127.0.0.1."""
    ensure_certificates(tmp_path / "made", server_names=["localhost", "127.0.0.1"])
    return tmp_path / "made"


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("subject", ["localhost", "127.0.0.1"])
def test_the_brokers_certificate_is_good_for_its_names(folder: Path, subject: str) -> None:
    """A client that trusts ca.pem accepts the broker under each of its names."""
    name = IPAddress(ipaddress.ip_address(subject)) if subject[0].isdigit() else DNSName(subject)
    builder = PolicyBuilder().store(Store([certificate(folder / "ca.pem")]))

    builder.build_server_verifier(name).verify(certificate(folder / "server.pem"), [])


def test_the_observers_common_name_is_its_broker_user(folder: Path) -> None:
    """The broker takes the user from there; and it is good for logging in only."""
    own = certificate(folder / "observer.pem")

    [name] = own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    purposes = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert name.value == "observer"
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_every_key_is_for_its_owner_only(folder: Path) -> None:
    """From the first byte on."""
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.glob("*.key")}

    assert dict.fromkeys(("ca.key", "server.key", "observer.key"), 0o600) == modes


def test_a_second_run_changes_nothing(folder: Path) -> None:
    """Clients keep trusting what they have."""
    before = contents(folder)

    ensure_certificates(folder, server_names=["localhost"])

    assert contents(folder) == before


def test_another_server_name_renews_the_brokers_certificate_alone(folder: Path) -> None:
    """The authority, which clients trust, stays."""
    before = contents(folder)

    ensure_certificates(folder, server_names=["localhost", "chat.example.org"])
    after = contents(folder)

    assert {name for name in after if after[name] != before[name]} == {"server.pem", "server.key"}
    names = certificate(folder / "server.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "chat.example.org" in names.get_values_for_type(DNSName)


def test_a_certificate_that_ends_soon_is_renewed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty days are time enough to run the set-up again."""
    monkeypatch.setattr("observer.setup.certificates.CERTIFICATE_DAYS", 29)
    ensure_certificates(folder, server_names=["short.example.org"])
    short = contents(folder)
    monkeypatch.undo()

    ensure_certificates(folder, server_names=["short.example.org"])

    assert contents(folder)["server.pem"] != short["server.pem"]


def test_a_damaged_authority_is_told_and_kept(folder: Path) -> None:
    """A new one would shut out every client that trusts the old one."""
    (folder / "ca.key").write_text("damaged")

    with pytest.raises(ConfigError, match=r"ca\.key is not a private key"):
        ensure_certificates(folder, server_names=["localhost"])

    assert (folder / "ca.key").read_text() == "damaged"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("observer.key", None),
        ("observer.key", "server.key"),
        ("observer.key", "damaged"),
        ("observer.pem", "server.pem"),
        ("observer.pem", "damaged"),
    ],
)
def test_what_is_missing_or_damaged_is_made_anew(folder: Path, name: str, content: str | None) -> None:
    """`observer doctor` promises it."""
    (folder / name).unlink()
    if content is not None:
        copied = folder / content
        (folder / name).write_bytes(copied.read_bytes() if copied.exists() else content.encode())

    ensure_certificates(folder, server_names=["localhost"])

    ssl.create_default_context().load_cert_chain(folder / "observer.pem", folder / "observer.key")
    [name_inside] = certificate(folder / "observer.pem").subject
    assert name_inside.value == "observer"


def test_certificates_of_an_authority_that_is_gone_are_made_anew(folder: Path) -> None:
    for name in ("ca.pem", "ca.key"):
        (folder / name).unlink()

    ensure_certificates(folder, server_names=["localhost"])

    authority = certificate(folder / "ca.pem")
    for name in ("server.pem", "observer.pem"):
        certificate(folder / name).verify_directly_issued_by(authority)


def test_an_authority_without_its_certificate_keeps_its_key(folder: Path) -> None:
    """What it has signed stays good."""
    before = contents(folder)
    (folder / "ca.pem").unlink()

    ensure_certificates(folder, server_names=["localhost"])

    after = contents(folder)
    assert {name for name in after if after[name] != before[name]} == {"ca.pem"}
