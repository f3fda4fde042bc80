"""What `observer dead-letters show` prints of a message that a stranger wrote."""

import pytest
from click.testing import CliRunner

from observer.broker.dead_letters import DeadLetter
from observer.cli import dead_letters, main

STEERING = "\x1b]0;mine\x07\x9b2J\u202e"
LETTER = DeadLetter(
    tag=1,
    routing_key=f"apps.demo.outgoing.users.eve.{STEERING}",
    reason="delivery_limit",
    body=f'{{"text":"Grüße{STEERING}"}}\n'.encode() + b"\xff",
    client_id=f"demo.eve.{STEERING}",
)


def test_nothing_that_a_sender_chose_steers_the_operators_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """His topic, his client id and his payload may hold control characters."""

    async def read(*_: object) -> tuple[list[DeadLetter], int]:
        return [LETTER], 1

    monkeypatch.setattr(dead_letters, "_read", read)
    shown = CliRunner().invoke(main, ["dead-letters", "show", LETTER.id, "--body"])
    assert shown.exit_code == 0, shown.output
    assert [letter for letter in shown.output if not letter.isprintable() and letter != "\n"] == []
    assert "\\x1b]0;mine\\x07" in shown.output
