"""A second `make run` on the same folder ends at once, and says which one runs there and what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from observer.errors import ConfigError
from observer.local.sole_use import LOCK_FILE, sole_use


def test_the_second_is_told_which_one_runs_and_what_to_do(tmp_path: Path) -> None:
    directory = tmp_path / "var"
    with (
        sole_use(directory, "MQTT here, HTTP API there"),
        pytest.raises(ConfigError) as caught,
        sole_use(directory, ""),
    ):
        pass
    assert str(caught.value) == (
        f"`make run` runs on {directory} already (process {os.getpid()}: MQTT here, HTTP API there): use that one, "
        f"or stop it with Ctrl-C in its terminal, or with `kill {os.getpid()}`, and start again"
    )


def test_the_next_one_may_when_the_first_has_ended(tmp_path: Path) -> None:
    """What the first one left in the file is gone."""
    with sole_use(tmp_path, "a long word on where it is"):
        pass
    with sole_use(tmp_path, "here"):
        assert (tmp_path / LOCK_FILE).read_text(encoding="utf-8") == f"{os.getpid()} here\n"


def test_one_that_has_not_said_yet_who_it_is_is_told_of_without(tmp_path: Path) -> None:
    with sole_use(tmp_path, "here"):
        (tmp_path / LOCK_FILE).write_text("")
        with pytest.raises(ConfigError, match="already: use that one, or stop it with Ctrl-C in its terminal and"):
            sole_use(tmp_path, "").__enter__()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"{tmp_path}/file/var"), sole_use(tmp_path / "file" / "var", ""):
        pass


def test_the_command_says_it_in_one_line_with_status_2(tmp_path: Path) -> None:
    """Before it looks for a RabbitMQ or at a port."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OBSERVER_")}
    with sole_use(tmp_path / "var", "MQTT here"):
        second = subprocess.run(
            [sys.executable, "-m", "observer", "run", "--local"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert second.returncode == 2
    assert second.stdout == ""
    assert second.stderr.startswith("observer: `make run` runs on ")
    assert second.stderr.count("\n") == 1
