"""`check-config`: what is in force and where it comes from, as TOML that can be read again, without one secret."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from observer.cli import main
from observer.cli.config_docs import reference
from observer.settings_keys import leaves, variable
from observer.settings_load import load_settings

ROOT = Path(__file__).parents[3]
SECRETS = {
    "OBSERVER_STORE__URL": "mongodb://user:hunter2@a,b:27018/chat?authMechanismProperties=hunter2",
    "OBSERVER_TOKENS__CHAT21__KEY": "hunter2-hunter2-hunter2-hunter2-hunter2",
    "OBSERVER_IDENTITY__ISSUERS__SHOP__APP": "shop",
    "OBSERVER_IDENTITY__ISSUERS__SHOP__ALGORITHMS": "HS256",
    "OBSERVER_IDENTITY__ISSUERS__SHOP__SHARED_KEY": "hunter2-hunter2-hunter2-hunter2-hunter2",
    "OBSERVER_POLICIES__EXTRA__WORDS__API_KEY": "hunter2",
}


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBSERVER_CONFIG", raising=False)


def check_config(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["check-config", *arguments], env=environ)


def test_every_setting_is_shown_with_its_value() -> None:
    shown = {line.split(" = ")[0] for line in check_config().stdout.splitlines()}
    plain = {".".join(key.path) for key in leaves() if "<name>" not in key.path}
    assert shown == plain


def test_what_is_not_the_default_says_where_it_came_from() -> None:
    result = check_config("--changed", OBSERVER_API__PORT="8181")
    assert result.stdout == "api.port = 8181  # from OBSERVER_API__PORT\n"


def test_what_is_printed_can_be_read_again(tmp_path: Path) -> None:
    environ = {
        "OBSERVER_API__CORS_ORIGINS": "https://a.example,https://b.example",
        "OBSERVER_IDENTITY__API_KEYS": json.dumps({"a b.c": {"app": "shop", "sha256": "0" * 64}}),
        "OBSERVER_POLICIES__EXTRA__WORDS__LIMIT": "3",
    }
    file = tmp_path / "again.toml"
    file.write_text(check_config(**environ).stdout, encoding="utf-8")
    assert load_settings(file, {}) == load_settings(None, environ)


@pytest.mark.parametrize("arguments", [[], ["--changed"], ["--json"]])
def test_no_secret_is_printed(arguments: list[str]) -> None:
    result = check_config(*arguments, **SECRETS)
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert "mongodb://***@a,b:27018/chat" in result.stdout, "the address itself is what one wants to see"


def test_warnings_go_to_standard_error_and_do_not_fail() -> None:
    result = check_config(OBSERVER_API__HOST="0.0.0.0")  # noqa: S104
    assert result.exit_code == 0
    assert "warning: api.host = 0.0.0.0" in result.stderr
    assert "The configuration is valid, 2 warnings." in result.stderr


def test_what_is_wrong_ends_with_status_2() -> None:
    result = check_config(OBSERVER_API__PORTS="1")
    assert result.exit_code == 2
    assert "did you mean OBSERVER_API__PORT?" in result.stderr


def test_scripts_get_json() -> None:
    found = json.loads(check_config("--json", OBSERVER_API__PORT="8181").stdout)
    assert {"key": "api.port", "value": 8181, "origin": "OBSERVER_API__PORT"} in found["settings"]
    assert {"key": "api.host", "value": "127.0.0.1", "origin": "default"} in found["settings"]
    assert len(found["warnings"]) == 1


def test_the_reference_in_the_docs_is_current() -> None:
    """After a change of observer/settings.py: `make docs`."""
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == reference()


def test_the_reference_names_every_setting_and_its_variable() -> None:
    page = check_config("--reference").stdout
    assert [variable(key.path) for key in leaves() if f"`{variable(key.path)}`" not in page] == []


def test_a_file_without_settings_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("# nothing yet\n")
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "empty.toml"), "check-config", "--changed"])
    assert (result.exit_code, result.stdout) == (0, "")
