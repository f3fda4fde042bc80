"""Giving a running broker other keys."""

from subprocess import CalledProcessError

import pytest

from observer.errors import BrokerUnavailable
from observer.setup.broker_keys import hand_over_keys
from observer.setup.signing_keys import PublicKey

KEY = PublicKey("aaaa", "pem")


@pytest.mark.parametrize("answer", ["{error, nodedown}", "ok", '[<<"aaaa">>]'])
def test_an_answer_that_does_not_name_every_key_is_an_error(answer: str) -> None:
    """A rotation must not go on with keys that the broker does not know."""
    with pytest.raises(BrokerUnavailable, match="did not take the keys"):
        hand_over_keys([KEY, PublicKey("bbbb", "pem")], lambda _: answer)


def test_a_broker_that_cannot_be_asked_is_an_error() -> None:
    """And its text repeats no key: an expression may hold a shared one."""

    def fail(expression: str) -> str:
        raise CalledProcessError(69, ["rabbitmqctl", "eval", expression])

    with pytest.raises(BrokerUnavailable) as told:
        hand_over_keys([KEY], fail)

    assert "pem" not in str(told.value)
