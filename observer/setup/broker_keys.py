"""Giving a running broker other signing keys: its configuration files are read at its start only.

RabbitMQ's own commands for it are named otherwise in 3.x (add_uaa_key) and 4.x (add_signing_key), and none can take a
key away; one Erlang expression does both on every version (rabbitmq/README.md, "A new key for a running broker").
"""

from collections.abc import Callable, Sequence
from subprocess import CalledProcessError

from observer.errors import BrokerUnavailable
from observer.setup.broker_files import key_config
from observer.setup.signing_keys import BrokerKey

_KEY_CONFIG = "rabbitmq_auth_backend_oauth2, key_config"
RabbitmqctlEval = Callable[[str], str]
"""Evaluates an Erlang expression on the broker's node and returns what it prints."""


def telling_keys_expression(keys: Sequence[BrokerKey]) -> str:
    """Erlang that makes `keys`, and no others, the ones that tokens are checked with; the first is the default key.

    It prints the ids of the keys that the node has then: an answer that proves what was done. Connections that are
    open stay open. It holds secrets if one of the keys is a shared one.
    """
    return (
        f"begin application:set_env({_KEY_CONFIG}, {key_config(keys)}), "
        f"{{ok, Now}} = application:get_env({_KEY_CONFIG}), maps:keys(proplists:get_value(signing_keys, Now)) end."
    )


def is_told_of(key_id: str, answer: str) -> bool:
    """Whether a node that answered this to `telling_keys_expression` has the key."""
    return f'<<"{key_id}">>' in answer


def hand_over_keys(keys: Sequence[BrokerKey], evaluate: RabbitmqctlEval) -> None:
    """Have a running node check tokens with `keys`. Raises BrokerUnavailable if it cannot be told."""
    try:
        answer = evaluate(telling_keys_expression(keys))
    except OSError as error:
        raise BrokerUnavailable(f"rabbitmqctl cannot be run: {error}") from error
    except CalledProcessError as error:  # its own text repeats the expression, which may hold a shared key
        raise BrokerUnavailable(f"rabbitmqctl failed with status {error.returncode}: is the broker up?") from None
    if not all(is_told_of(key.key_id, answer) for key in keys):
        raise BrokerUnavailable(f"the broker did not take the keys: {answer.strip()[:200]}")
