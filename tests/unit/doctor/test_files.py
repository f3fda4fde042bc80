"""Doctor, certificates and keys: each fault that an operator can make is found, named and given a remedy."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from observer.doctor.files import check_certificates, check_signing_keys
from observer.doctor.finding import Finding, Level
from observer.settings import BrokerSettings, TokenSettings
from observer.setup.certificates import ensure_certificates
from observer.setup.signing_keys import ensure_signing_keys


@pytest.fixture
def settings(tmp_path: Path) -> BrokerSettings:
    ensure_certificates(tmp_path, server_names=("localhost",))
    return settings_in(tmp_path)


def settings_in(folder: Path, **names: str) -> BrokerSettings:
    files = {"ca_file": "ca.pem", "cert_file": "observer.pem", "key_file": "observer.key"} | names
    return BrokerSettings.model_validate({name: folder / file for name, file in files.items()})


def found(settings: BrokerSettings, *, in_days: int = 0) -> dict[str, Finding]:
    now = datetime.now(UTC) + timedelta(days=in_days)
    return {finding.check: finding for finding in check_certificates(settings, now)}


def test_what_setup_makes_is_well(settings: BrokerSettings) -> None:
    assert {finding.level for finding in found(settings).values()} == {Level.OK}


def test_missing_files_are_named(tmp_path: Path) -> None:
    for finding in found(settings_in(tmp_path)).values():
        assert finding.level is Level.FAILED
        assert str(tmp_path) in finding.text
        assert "observer setup" in finding.remedy


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (-2, Level.FAILED, "is good from"),
        (0, Level.OK, "is good until"),
        (800, Level.WARNING, "expires on"),
        (900, Level.FAILED, "has expired on"),
    ],
    ids=["a clock that is behind", "fresh", "about to expire", "expired"],
)
def test_the_dates_of_a_certificate_are_judged_by_the_clock(
    settings: BrokerSettings, days: int, level: Level, words: str
) -> None:
    finding = found(settings, in_days=days)["broker certificate"]
    assert finding.level is level
    assert words in finding.text


def test_a_certificate_for_another_broker_user_is_found(tmp_path: Path, settings: BrokerSettings) -> None:
    finding = found(settings_in(tmp_path, cert_file="server.pem"))["broker certificate"]
    assert finding.level is Level.FAILED
    assert "'observer'" in finding.text


def test_a_file_that_is_no_certificate_is_found(settings: BrokerSettings) -> None:
    settings.ca_file.write_text("hello")
    finding = found(settings)["broker authority"]
    assert (finding.level, finding.text) == (Level.FAILED, f"{settings.ca_file} is not a certificate in PEM")


def test_a_key_of_another_certificate_is_found(tmp_path: Path, settings: BrokerSettings) -> None:
    finding = found(settings_in(tmp_path, key_file="server.key"))["broker key"]
    assert finding.level is Level.FAILED
    assert "does not belong to" in finding.text


def test_a_key_that_others_may_read_is_found(settings: BrokerSettings) -> None:
    settings.key_file.chmod(0o644)
    finding = found(settings)["broker key"]
    assert (finding.level, finding.remedy) == (Level.FAILED, f"chmod 600 {settings.key_file}")


def test_signing_keys_that_setup_makes_are_well(tmp_path: Path) -> None:
    ensure_signing_keys(tmp_path / "keys")
    assert check_signing_keys(TokenSettings(keys_dir=tmp_path / "keys")).level is Level.OK


def test_missing_signing_keys_are_found(tmp_path: Path) -> None:
    finding = check_signing_keys(TokenSettings(keys_dir=tmp_path))
    assert finding.level is Level.FAILED
    assert "observer setup" in finding.remedy


def test_an_open_signing_key_is_found(tmp_path: Path) -> None:
    ensure_signing_keys(tmp_path / "keys")
    (path,) = (path for path in (tmp_path / "keys").iterdir() if path.name.startswith("current"))
    os.chmod(path, 0o640)  # noqa: PTH101
    assert check_signing_keys(TokenSettings(keys_dir=tmp_path / "keys")).level is Level.FAILED
