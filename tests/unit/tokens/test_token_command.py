"""`observer token`: what a script and a human see, and the exit status."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result

from observer.cli import main
from observer.tokens.keys import read_ring

CHAT21 = {"OBSERVER_TOKENS__CHAT21__ENABLED": "true", "OBSERVER_TOKENS__CHAT21__KEY": "k" * 40}


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in [name for name in os.environ if name.startswith("OBSERVER_")]:
        monkeypatch.delenv(name)
    environment = {"OBSERVER_TOKENS__KEYS_DIR": str(folder)}

    def invoke(*arguments: str, stdin: str | None = None, **more: str) -> Result:
        return CliRunner().invoke(main, ["token", *arguments], input=stdin, env=environment | more)

    return invoke


def test_a_script_gets_one_object_with_stable_keys(run: Any) -> None:
    result = run("issue", "--app", "demo", "--user", "alice", "--device", "phone", "--ttl", "120", "--json")
    told = json.loads(result.stdout)
    claims = jwt.decode(told.pop("token"), options={"verify_signature": False})
    assert told == {
        "app": "demo",
        "user": "alice",
        "client_id": "demo.alice.phone",
        "username": "alice",
        "subscribe": "apps/demo/users/alice/#",
        "publish": "apps/demo/outgoing/users/alice/messages/{recipient}/outgoing",
        "expires_at": claims["exp"],
        "mqtt_url": "mqtt://127.0.0.1:1883",
        "websocket_url": "ws://127.0.0.1:15675/ws",
    }
    assert (claims["exp"] - claims["iat"], result.exit_code) == (120, 0)


def test_a_human_gets_the_same_in_words_and_the_token_alone_on_the_last_line(run: Any) -> None:
    result = run("issue", "--app", "demo", "--user", "alice")
    *words, token = result.stdout.splitlines()
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == "alice"
    text = "\n".join(words)
    for part in ("mqtt://127.0.0.1:1883", "demo.alice.", "apps/demo/users/alice/#", "{recipient}", "UTC"):
        assert part in text


def test_a_chat21_token_is_asked_for_by_profile(run: Any) -> None:
    arguments = ("issue", "--app", "tilechat", "--user", "alice", "--profile", "chat21", "--ttl", "90", "--json")
    told = json.loads(run(*arguments, **CHAT21).stdout)
    claims = jwt.decode(told["token"], "k" * 40, ["HS256"], audience="rabbitmq")
    assert (told["username"], claims["exp"] - claims["iat"]) == ("JWT", 90)
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "the chat21 profile is off" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("issue", "--app", "demo", "--user", "a.b"), 2, "user id 'a.b'"),
        (("issue", "--app", "de mo", "--user", "a"), 2, "app id 'de mo'"),
        (("issue", "--app", "demo", "--user", "a", "--device", "#"), 2, "device id '#'"),
        (("issue", "--app", "demo", "--user", "observer"), 1, "observer"),
        (("issue", "--app", "demo"), 2, "--user"),
        (("issue", "--app", "demo", "--user", "a", "--ttl", "59"), 2, "59"),
        (("issue", "--app", "demo", "--user", "a", "--profile", "admin"), 2, "admin"),
        (("explain", "word"), 1, "no token"),
    ],
)
def test_the_exit_status_says_what_went_wrong(run: Any, arguments: tuple[str, ...], status: int, told: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert told in result.stderr


def test_missing_keys_are_a_matter_of_configuration(run: Any, tmp_path: Path) -> None:
    result = run("issue", "--app", "demo", "--user", "a", OBSERVER_TOKENS__KEYS_DIR=str(tmp_path / "none"))
    assert (result.exit_code, "observer setup" in result.stderr) == (2, True)


@pytest.mark.parametrize("by_stdin", [True, False])
def test_a_token_is_explained_and_never_repeated(run: Any, by_stdin: bool) -> None:
    token = json.loads(run("issue", "--app", "demo", "--user", "alice", "--json").stdout)["token"]
    result = run("explain", stdin=f"{token}\n") if by_stdin else run("explain", token)
    assert result.exit_code == 0
    assert "user 'alice'" in result.stdout
    assert ": ours" in result.stdout
    assert all(part not in result.output for part in token.split("."))


def test_a_token_is_explained_where_there_are_no_keys(run: Any, tmp_path: Path) -> None:
    token = json.loads(run("issue", "--app", "demo", "--user", "alice", "--json").stdout)["token"]
    result = run("explain", token, OBSERVER_TOKENS__KEYS_DIR=str(tmp_path))
    assert "the signature was not checked" in result.stdout


def test_a_rotation_says_what_was_done_and_what_remains(run: Any, folder: Path) -> None:
    before = read_ring(folder)
    result = run("rotate")
    after = read_ring(folder)
    assert after.current.kid == before.next.kid
    assert f"signed with key {after.current.kid}" in result.stdout
    assert f"the broker must be given key {after.next.kid}" in result.stdout


def test_a_second_rotation_waits_until_the_broker_has_the_key(run: Any, folder: Path) -> None:
    run("rotate")
    refused = run("rotate")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert read_ring(folder).next.kid in refused.stderr
    assert run("rotate", "--broker-has-keys").exit_code == 0


def fake_rabbitmqctl(folder: Path, *, answer: str, status: int = 0) -> Path:
    """A program in rabbitmqctl's place: the real one is met in tests/integration."""
    program = folder / "rabbitmqctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\necho "{answer}"\nexit {status}\n')
    program.chmod(stat.S_IRWXU)
    return program


def test_a_running_broker_is_given_the_keys_before_and_after(run: Any, folder: Path, tmp_path: Path) -> None:
    """Before, so that the key that signs is known; after, so that the next rotation may come at once."""
    before = read_ring(folder)
    program = fake_rabbitmqctl(tmp_path, answer="$@")
    result = run("rotate", "--rabbitmqctl", f"{program} --node x", **CHAT21)
    assert result.exit_code == 0, result.output
    first, second = (tmp_path / "calls").read_text().split("--node x --quiet eval ")[1:]
    after = read_ring(folder)
    assert all(key.kid in first for key in before)
    assert after.next.kid not in first
    assert all(key.kid in second and "tiledesk-key" in second for key in after)
    assert run("rotate").exit_code == 0


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        ("node is down\nhints", 69, "failed (69): node is down\n"),
        ("{badmatch}", 0, "{badmatch}"),
        (None, 0, "cannot be run"),
    ],
)
def test_a_broker_that_takes_no_keys_changes_nothing(
    run: Any, folder: Path, tmp_path: Path, answer: str | None, status: int, told: str
) -> None:
    program = tmp_path / "missing" if answer is None else fake_rabbitmqctl(tmp_path, answer=answer, status=status)
    before = [key.kid for key in read_ring(folder)]
    result = run("rotate", "--rabbitmqctl", str(program))
    assert (result.exit_code, result.stdout) == (3, "")
    assert told in result.stderr
    assert [key.kid for key in read_ring(folder)] == before


def test_a_command_that_is_none_is_wrong_usage_and_changes_nothing(run: Any, folder: Path) -> None:
    before = [key.kid for key in read_ring(folder)]
    result = run("rotate", "--rabbitmqctl", "docker 'exec")
    assert result.exit_code == 2
    assert "No closing quotation" in result.stderr
    assert [key.kid for key in read_ring(folder)] == before
