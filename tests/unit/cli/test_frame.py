"""The frame of the command line: every command is listed and reachable; the exit status names the kind of failure."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from observer.cli import COMMANDS, main
from observer.cli.context import Context
from observer.errors import BrokerUnavailable, ConfigError, InvalidTopic, ObserverError, Refused, StoreUnavailable


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.delenv("OBSERVER_CONFIG", raising=False)
    return CliRunner()


def test_help_lists_every_command_and_what_the_exit_status_means(runner: CliRunner) -> None:
    text = runner.invoke(main, ["--help"]).output
    assert [name for name in COMMANDS if f"\n  {name} " not in text] == []
    assert "Exit status: 0 done" in text


def test_help_imports_no_command_and_nothing_heavy() -> None:
    """Whoever asks for help should not wait for libraries."""
    heavy = "pydantic fastapi aiormq pymongo structlog cryptography paho"
    program = (
        "import sys; from observer.cli import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: print(sorted(set('{heavy}'.split()) & set(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_itself(runner: CliRunner, name: str) -> None:
    result = runner.invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: main {name}")


def test_an_unknown_command_is_a_mistake_of_usage(runner: CliRunner) -> None:
    result = runner.invoke(main, ["nope"])
    assert result.exit_code == 2
    assert "nope" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("api.port: no"), 2),
        (BrokerUnavailable("no broker"), 3),
        (StoreUnavailable("no store"), 3),
        (Refused("no such key"), 1),
        (InvalidTopic("invalid_id", "not an id"), 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_the_exit_status_says_what_kind_of_failure_it_was(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, error: ObserverError, status: int
) -> None:
    def fail(self: Context) -> None:
        raise error

    monkeypatch.setattr(Context, "loaded", property(fail))

    result = runner.invoke(main, ["check-config"])

    assert result.exit_code == status
    assert result.stderr == f"observer: {error}\n"
    assert result.stdout == ""


def test_an_error_on_the_terminal_holds_no_secret(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Context) -> None:
        raise StoreUnavailable("mongodb://user:hunter2@h does not answer")

    monkeypatch.setattr(Context, "loaded", property(fail))
    assert "hunter2" not in runner.invoke(main, ["check-config"]).output


def test_the_file_is_named_by_the_option_or_by_the_variable(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "observer.toml"
    file.write_text("[api]\nport = 8181\n")

    by_option = runner.invoke(main, ["--config", str(file), "check-config", "--changed"])
    by_variable = runner.invoke(main, ["check-config", "--changed"], env={"OBSERVER_CONFIG": str(file)})

    assert by_option.stdout == by_variable.stdout == f"api.port = 8181  # from {file}\n"


def test_settings_are_loaded_once_and_only_when_asked_for(tmp_path: Path) -> None:
    context = Context(tmp_path / "observer.toml")
    (tmp_path / "observer.toml").write_text("[api]\nport = 8181\n")
    first = context.settings
    (tmp_path / "observer.toml").unlink()
    assert context.settings is first


def test_the_module_is_the_command() -> None:
    ended = subprocess.run([sys.executable, "-m", "observer", "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("inbox-observer ")


def test_a_command_file_that_exports_something_else_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observer.cli.check_config.check_config", "not a command")
    with pytest.raises(TypeError, match=r"observer/cli/check_config\.py"):
        main.get_command(click.Context(main), "check-config")


def test_a_library_does_not_put_its_own_words_before_ours() -> None:
    program = "import logging; from observer.cli import main\ntry: main(['token', '--help'])\n"
    program += "except SystemExit: logging.getLogger('aiormq').error('error when creating transport')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stderr == ""
