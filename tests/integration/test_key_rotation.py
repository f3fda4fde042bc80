"""A new signing key where the broker's rabbitmqctl is out of our reach, on a real broker: docs/compose.md."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from observer.cli import main
from observer.setup.broker_keys import hand_over_keys
from observer.setup.signing_keys import as_broker_key
from observer.tokens.base import IssuedToken
from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import KeyStore, read_ring
from tests.integration.attempts import line, login_of, may_connect
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker

Token = Callable[..., Result]


@pytest.fixture
def folder(broker: RunningBroker, tmp_path: Path) -> Iterator[Path]:
    """A copy of the broker's keys, to rotate; afterwards the broker has its own again."""
    yield Path(shutil.copytree(broker.keys_dir, tmp_path / "keys"))
    keys = [as_broker_key(key) for key in read_ring(broker.keys_dir)]
    hand_over_keys(keys, lambda expression: broker.rabbitmqctl("eval", expression))


@pytest.fixture
def token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """`observer token …` with these keys."""
    monkeypatch.delenv("OBSERVER_CONFIG", raising=False)
    monkeypatch.setenv("OBSERVER_TOKENS__KEYS_DIR", str(folder))

    def run(*arguments: str, said: str = "") -> Result:
        return CliRunner().invoke(main, ["token", *arguments], input=said)

    return run


def issue(folder: Path) -> IssuedToken:
    return BrokerTokens(KeyStore(folder)).issue("demo", "alice")


def test_three_rotations_in_a_row_cut_no_connection_and_refuse_no_new_token(
    broker: RunningBroker, folder: Path, token: Token
) -> None:
    """What the broker answers goes into the rotation; the key of the first token is then known no more."""
    first = issue(folder)
    with line(login_of(first, broker.mqtt_port)) as made:
        assert made.connect()
        for _ in range(3):
            answer = broker.rabbitmqctl("eval", token("broker-keys").stdout)
            rotated = token("rotate", "--broker-knows", "-", said=answer)
            assert rotated.exit_code == 0, rotated.output
            assert may_connect(login_of(issue(folder), broker.mqtt_port)), "the key that signs now is known"
        assert made.publish(first.publish.replace("{recipient}", "bob")), "the first connection is still open"
    assert not may_connect(login_of(first, broker.mqtt_port)), "as after a leak: docs/compose.md"


@pytest.mark.parametrize("said", ["", "ok", '[<<"0123456789abcdef">>]', "Error: unable to perform an operation"])
def test_nothing_is_rotated_unless_the_broker_names_the_next_key(folder: Path, token: Token, said: str) -> None:
    """Whatever went wrong in the pipe: a token that the broker refuses is never made."""
    before = read_ring(folder)
    refused = token("rotate", "--broker-knows", "-", said=said)
    assert refused.exit_code == 1
    assert f"did not answer that it knows the next key, {before.next.kid}; nothing was rotated" in refused.stderr
    assert [key.kid for key in read_ring(folder)] == [key.kid for key in before]


def test_an_answer_for_the_keys_before_does_not_do_for_the_next_rotation(broker: RunningBroker, token: Token) -> None:
    answer = broker.rabbitmqctl("eval", token("broker-keys").stdout)
    assert token("rotate", "--broker-knows", "-", said=answer).exit_code == 0
    assert token("rotate", "--broker-knows", "-", said=answer).exit_code == 1
