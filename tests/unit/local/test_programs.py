"""Finding RabbitMQ on this machine."""

from pathlib import Path

import pytest

from observer.errors import ConfigError
from observer.local.programs import BIN_VARIABLE, find_programs, read_version


def a_rabbitmq(folder: Path, version: str) -> Path:
    """A folder that looks like the programs of this version; they do nothing."""
    programs = folder / f"rabbitmq_server-{version}" / "sbin"
    programs.mkdir(parents=True)
    for name in ("rabbitmq-server", "rabbitmqctl"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    return programs


def test_the_folder_that_the_operator_names_is_used(tmp_path: Path) -> None:
    """Before anything that is installed."""
    folder = a_rabbitmq(tmp_path, "4.3.6")

    found = find_programs({BIN_VARIABLE: str(folder)})

    assert found is not None
    assert (found.folder, found.version, found.is_distribution) == (folder, (4, 3), False)


def test_a_folder_without_the_programs_is_told(tmp_path: Path) -> None:
    """Silently taking another RabbitMQ would be worse."""
    with pytest.raises(ConfigError, match=f"{BIN_VARIABLE} is .*no rabbitmq-server"):
        find_programs({BIN_VARIABLE: str(tmp_path)})


def test_the_version_is_read_through_links(tmp_path: Path) -> None:
    """Packages link their programs into a folder without a version."""
    folder = a_rabbitmq(tmp_path, "3.10.8")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "rabbitmq-server").symlink_to(folder / "rabbitmq-server")

    assert read_version(tmp_path / "bin") == (3, 10)


@pytest.mark.parametrize("version", ["3.9.13", "4.0.9", "4.1.4"])
def test_a_version_that_does_not_start_with_our_files_is_told(tmp_path: Path, version: str) -> None:
    """With those that do."""
    with pytest.raises(ConfigError, match=rf"is {version}, .*upgrade it, to RabbitMQ 3\.10 .* 4\.2 or later"):
        read_version(a_rabbitmq(tmp_path, version))


def test_programs_that_do_not_tell_their_version_are_told(tmp_path: Path) -> None:
    """Their configuration could not be chosen."""
    folder = a_rabbitmq(tmp_path, "unknown")

    with pytest.raises(ConfigError, match="does not tell its version"):
        read_version(folder)
