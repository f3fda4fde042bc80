"""Certificates and signing keys: there, good for some time, and readable by their owner alone."""

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from observer.broker.names import USER
from observer.doctor.finding import Finding, failed, ok, warning
from observer.errors import ConfigError
from observer.settings import BrokerSettings, TokenSettings
from observer.tokens.keys import OTHERS_MAY_READ, read_ring

SOON = timedelta(days=30)
_SETUP = "run `observer setup`: it makes what is missing, and replaces what is damaged or about to expire"


def check_certificates(settings: BrokerSettings, now: datetime) -> Iterator[Finding]:
    """The authority's certificate, the observer's own, and its key."""
    yield _certificate("broker authority", settings.ca_file, now)
    yield _certificate("broker certificate", settings.cert_file, now, common_name=USER)
    yield _key(settings)


def check_signing_keys(settings: TokenSettings) -> Finding:
    """The keys that sign broker tokens."""
    check = "signing keys"
    try:
        ring = read_ring(settings.keys_dir, settings.algorithm)
    except ConfigError as error:
        return failed(check, str(error), "run `observer setup` for missing keys, `chmod 600` for open ones")
    return ok(check, f"{settings.algorithm}, signing with key {ring.current.kid}, next is {ring.next.kid}")


def _certificate(check: str, path: Path, now: datetime, *, common_name: str | None = None) -> Finding:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        return failed(check, f"{path} cannot be read: {error.strerror}", _SETUP)
    except ValueError:
        return failed(check, f"{path} is not a certificate in PEM", _SETUP)
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if common_name is not None and names != [common_name]:
        return failed(check, f"{path} is for {names}, and the broker's user is {common_name!r}", _SETUP)
    return _validity(check, path, certificate, now)


def _validity(check: str, path: Path, certificate: x509.Certificate, now: datetime) -> Finding:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        return failed(check, f"{path} is good from {begin:%Y-%m-%d %H:%M} UTC on", "set the clock of this machine")
    if now > end:
        return failed(check, f"{path} has expired on {end:%Y-%m-%d}", _SETUP)
    if end - now < SOON:
        return warning(check, f"{path} expires on {end:%Y-%m-%d}", _SETUP)
    return ok(check, f"{path} is good until {end:%Y-%m-%d}")


def _key(settings: BrokerSettings) -> Finding:
    check, path = "broker key", settings.key_file
    try:
        mode = path.stat().st_mode
        ssl.create_default_context().load_cert_chain(settings.cert_file, path)
    except ssl.SSLError as error:
        return failed(check, f"{path} does not belong to {settings.cert_file} ({error.reason})", _SETUP)
    except OSError as error:
        return failed(check, f"{path} cannot be read: {error.strerror}", _SETUP)
    if mode & OTHERS_MAY_READ:
        return failed(check, f"others may read {path}", f"chmod 600 {path}")
    return ok(check, f"{path} belongs to the certificate and is its owner's alone")
