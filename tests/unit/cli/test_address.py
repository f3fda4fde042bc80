"""Options that take an address."""

import pytest
from click.testing import CliRunner

from observer.cli import main

CHAT = ("chat", "--user", "alice", "--to", "bob")


@pytest.mark.parametrize("command", [CHAT, ("bench",)], ids=["chat", "bench"])
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--mqtt-url", "mqtt://127.0.0.1:99999"),
        ("--mqtt-url", "mqtt://127.0.0.1:abc"),
        ("--mqtt-url", "mqtt://127.0.0.1:0"),
        ("--mqtt-url", "http://127.0.0.1:1883"),
        ("--mqtt-url", "127.0.0.1:1883"),
        ("--api-url", "http://127.0.0.1:abc"),
        ("--api-url", "http://"),
        ("--api-url", "mqtt://127.0.0.1"),
        ("--api-url", ""),
    ],
)
def test_an_address_that_cannot_be_one_is_a_mistake_of_usage(command: tuple[str, ...], option: str, value: str) -> None:
    result = CliRunner().invoke(main, [*command, option, value])
    assert result.exit_code == 2
    assert f"{value!r} is not of the form" in result.stderr
    assert option in result.stderr
