"""A private certificate authority, made once, and the broker's and the observer's certificates, replaced when need be.

The observer's certificate is its only way into AMQP, and nobody else has one (docs/facts.md, "Tokens over AMQP").
Its common name is its broker user.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from observer.broker.names import USER
from observer.errors import ConfigError
from observer.setup.files import OPEN_MODE, SECRET_MODE, make_folder, write_if_changed, write_once

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 825  # the longest that common clients accept
RENEW_BEFORE = timedelta(days=30)
CLOCK_SLACK = timedelta(minutes=5)  # of clients whose clock is behind
_REMEDY = "Restore it from a backup, or remove ca.pem and ca.key: all is made anew, and clients need the new ca.pem."


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificates(directory: Path, *, server_names: Sequence[str]) -> None:
    """Make what is missing of ca.pem, ca.key, server.pem, server.key, observer.pem and observer.key.

    `server_names` are the host names and addresses under which clients reach the broker. A certificate that lacks one
    of them, ends within 30 days or is damaged is replaced; the authority never is, because clients trust it.
    Raises ConfigError where the authority is damaged.
    """
    make_folder(directory, mode=0o700)
    authority = _ensure_authority(directory)
    _ensure_signed(directory, "server", authority, _server_extensions(server_names), frozenset(server_names))
    _ensure_signed(directory, USER, authority, [_purpose(ExtendedKeyUsageOID.CLIENT_AUTH)])


def _is_good(directory: Path, name: str, authority: Authority, names: frozenset[str]) -> bool:
    """Whether certificate and key are there and belong together, are `authority`'s, and good for another 30 days."""
    try:
        certificate = _load_certificate(directory / f"{name}.pem")
        key = _load_key(directory / f"{name}.key")
        certificate.verify_directly_issued_by(authority.certificate)
    except (ConfigError, ValueError, InvalidSignature):
        return False
    return (
        certificate.public_key() == key.public_key()
        and certificate.subject == _name(name)
        and names <= _covered_names(certificate)
        and certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE
    )


def _covered_names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in names)


def _ensure_authority(directory: Path) -> Authority:
    certificate_path, key_path = directory / "ca.pem", directory / "ca.key"
    if not certificate_path.exists():
        if not key_path.exists():
            write_once(key_path, _pem(ec.generate_private_key(ec.SECP256R1())))
        key = _load_key(key_path)
        name = _name("inbox-observer private authority")
        builder = _builder(name, name, key, days=AUTHORITY_DAYS, is_authority=True)
        write_once(certificate_path, _sign(builder, key), mode=OPEN_MODE)
    return Authority(_load_certificate(certificate_path), _load_key(key_path))


def _ensure_signed(
    directory: Path,
    name: str,
    authority: Authority,
    extensions: Sequence[x509.ExtensionType],
    names: frozenset[str] = frozenset(),
) -> None:
    if _is_good(directory, name, authority, names):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), authority.certificate.subject, key, days=CERTIFICATE_DAYS, is_authority=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    certificate = _sign(builder.add_extension(issuer, critical=False), authority.key)
    write_if_changed(directory / f"{name}.key", _pem(key), mode=SECRET_MODE)
    write_if_changed(directory / f"{name}.pem", certificate)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int, is_authority: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(_key_usage(is_authority=is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _server_extensions(names: Sequence[str]) -> list[x509.ExtensionType]:
    return [
        x509.SubjectAlternativeName([_general_name(name) for name in names]),
        _purpose(ExtendedKeyUsageOID.SERVER_AUTH),
    ]


def _purpose(purpose: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([purpose])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a certificate that can be read: {error}. {_REMEDY}") from error


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} is not a private key that can be read: {error}. {_REMEDY}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path} is not an elliptic-curve key. {_REMEDY}")
    return key
