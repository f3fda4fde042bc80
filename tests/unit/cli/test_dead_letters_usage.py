"""Which dead letters a command is about."""

import pytest
from click.testing import CliRunner

from observer.cli import main


@pytest.mark.parametrize("command", ["replay", "drop"])
@pytest.mark.parametrize("chosen", [(), ("a1", "--all")], ids=["none", "some and all"])
def test_ids_or_all_are_named_before_anything_is_asked_or_done(command: str, chosen: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["dead-letters", command, *chosen])
    assert result.exit_code == 2
    assert "name the ids" in result.stderr
    assert result.stdout == ""


def test_who_throws_away_is_asked_about_these_ids() -> None:
    result = CliRunner().invoke(main, ["dead-letters", "drop", "a1", "b2"], input="n\n")
    assert result.exit_code == 1
    assert "Throw a1 b2 away?" in result.stdout
