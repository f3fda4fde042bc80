"""The whole set-up, and its command."""

import hashlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from observer.cli import main
from observer.errors import ConfigError
from observer.settings_load import load_settings
from observer.setup.api_key import ensure_api_key
from observer.setup.broker_files import BrokerPorts
from observer.setup.files import write_if_changed
from observer.setup.set_up import Places, SetUpOptions, set_up
from observer.tokens.keys import generate_key, read_ring


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Where a set-up has put everything."""
    return set_up(SetUpOptions(directory=tmp_path / "var", broker_version=(4, 3), shards=2))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_other_user_of_the_machine_may_change_what_was_made(tmp_path: Path) -> None:
    """Whatever the shell's umask is: who writes the broker's configuration owns the chat."""
    usual = os.umask(0)
    try:
        set_up(SetUpOptions(directory=tmp_path / "var", broker_directory=tmp_path / "broker", broker_version=(4, 3)))
    finally:
        os.umask(usual)
    assert [path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o022] == []


def test_a_second_run_changes_nothing(tmp_path: Path, places: Places) -> None:
    """It may be called at every start."""
    before = contents(tmp_path)

    set_up(SetUpOptions(directory=tmp_path / "var", broker_version=(4, 3), shards=2))

    assert contents(tmp_path) == before


@pytest.mark.parametrize("version", [(3, 9), (4, 0), (4, 1)])
def test_a_broker_that_would_not_start_is_refused_before_anything_is_made(
    tmp_path: Path, version: tuple[int, int]
) -> None:
    with pytest.raises(ConfigError, match=rf"RabbitMQ {version[0]}\.{version[1]} does not start .* 4\.2 or later"):
        set_up(SetUpOptions(directory=tmp_path / "var", broker_version=version))
    assert not (tmp_path / "var").exists()


def test_other_options_change_the_configuration_and_no_key(tmp_path: Path, places: Places) -> None:
    """Every token hangs on the keys."""
    secrets = {path: text for path, text in contents(tmp_path).items() if path.suffix in (".key", ".pem")}

    ports = BrokerPorts(mqtt=1884)
    set_up(SetUpOptions(directory=tmp_path / "var", broker_version=(3, 10), shards=3, ports=ports))

    assert secrets.items() <= contents(tmp_path).items()
    assert b"1884" in (places.broker / "rabbitmq.conf").read_bytes()
    assert b"chat.in.2" in (places.broker / "definitions.json").read_bytes()


def test_the_observer_can_be_started_with_the_settings_that_were_made(places: Places) -> None:
    """They name the files that are there, and know the API key by its hash alone."""
    settings = load_settings(places.settings, {})

    files = (settings.broker.ca_file, settings.broker.cert_file, settings.broker.key_file)
    key = places.api_key.read_text().strip()
    assert all(file.exists() for file in files)
    assert settings.broker.shards == 2
    assert settings.identity.api_keys["setup"].sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert key not in places.settings.read_text()
    assert places.api_key.stat().st_mode & 0o777 == 0o600
    assert read_ring(settings.tokens.keys_dir).current.kid in (places.broker / "rabbitmq.conf").read_text()


def test_after_a_rotation_the_broker_is_told_of_every_key_that_counts(tmp_path: Path, places: Places) -> None:
    """Also of the previous one, whose tokens may still live."""
    (places.keys / "previous.pem").write_bytes(generate_key())
    (places.keys / "previous.pem").chmod(0o600)

    set_up(SetUpOptions(directory=tmp_path / "var", broker_version=(4, 3)))

    conf = (places.broker / "rabbitmq.conf").read_text()
    assert [key.kid for key in read_ring(places.keys) if f"signing_keys.{key.kid} =" not in conf] == []


def test_a_folder_that_cannot_be_made_is_told_with_the_remedy(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match=r"cannot make the folder .*file/var.*--dir"):
        set_up(SetUpOptions(directory=tmp_path / "file" / "var", broker_version=(4, 3)))


def test_the_command_says_what_it_made_and_no_secret(tmp_path: Path) -> None:
    """Its output ends up in logs."""
    arguments = ["setup", "--dir", str(tmp_path / "var"), "--broker-version", "4.3", "--port", "mqtt=1884"]

    result = CliRunner().invoke(main, arguments, env={"OBSERVER_CONFIG": None})

    assert (result.exit_code, result.exception) == (0, None)
    assert str(tmp_path / "var" / "api.key") in result.output
    assert (tmp_path / "var" / "api.key").read_text().strip() not in result.output
    assert "127.0.0.1:1884" in (tmp_path / "var" / "rabbitmq" / "rabbitmq.conf").read_text()


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--port", "mqt=1", "'mqt=1' is not NAME=PORT"), ("--broker-version", "four", "'four' is not a version")],
)
def test_a_wrong_option_is_told(tmp_path: Path, option: str, value: str, told: str) -> None:
    """With what is allowed."""
    result = CliRunner().invoke(main, ["setup", "--dir", str(tmp_path), "--broker-version", "4.3", option, value])

    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--app", "a b", "app id 'a b'"),
        ("--server-name", "grün.example", "'grün.example' is no host name"),
        ("--server-name", "a b", "'a b' is no host name"),
        ("--broker-version", "3.9", "RabbitMQ 3.9 does not start with our configuration"),
    ],
)
def test_what_the_files_could_not_hold_is_refused_before_any_is_made(
    tmp_path: Path, option: str, value: str, told: str
) -> None:
    result = CliRunner().invoke(main, ["setup", "--dir", str(tmp_path / "var"), option, value])
    assert result.exit_code == 2
    assert told in result.stderr
    assert not (tmp_path / "var").exists()


def test_a_full_disk_leaves_no_half_written_key(tmp_path: Path) -> None:
    """The next set-up would take it for a whole one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(ConfigError, match=r"api\.key"):
            ensure_api_key(tmp_path / "api.key")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_set_up_leaves_no_key_that_the_next_one_takes_for_whole(tmp_path: Path) -> None:
    """Killed while it writes: by the signal that a process gets which writes beyond its limit."""
    key = tmp_path / "api.key"
    killed = (
        "import resource, signal, sys; from pathlib import Path; from observer.setup.api_key import ensure_api_key; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); ensure_api_key(Path(sys.argv[1]))"
    )
    ended = subprocess.run([sys.executable, "-c", killed, str(key)], check=False)
    assert ended.returncode == -signal.SIGXFSZ
    assert not key.exists()
    ensure_api_key(key)
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["api.key"]


def test_an_empty_api_key_is_none(tmp_path: Path) -> None:
    (tmp_path / "api.key").touch()
    with pytest.raises(ConfigError, match="is empty: remove the file"):
        ensure_api_key(tmp_path / "api.key")


def test_a_file_of_somebody_else_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A folder stands for it: that cannot be read either, not even by root."""
    (tmp_path / "advanced.config").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*as root"):
        write_if_changed(tmp_path / "advanced.config", b"")
