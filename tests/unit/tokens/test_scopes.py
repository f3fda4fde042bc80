"""Scopes are exactly what was found to be tight."""

import pytest

from observer.tokens.scopes import chat21_scopes, client_id, standard_scopes


def test_a_standard_token_has_exactly_the_five_scopes_that_were_tested() -> None:
    """rabbitmq-facts, 1: each is needed, and no other."""
    assert standard_scopes("demo", "alice") == (
        "rabbitmq.configure:%2F/mqtt-subscription-alice.*",
        "rabbitmq.write:%2F/mqtt-subscription-alice.*",
        "rabbitmq.read:%2F/mqtt-subscription-alice.*",
        "rabbitmq.read:%2F/amq.topic/apps.demo.users.alice.*",
        "rabbitmq.write:%2F/amq.topic/apps.demo.outgoing.users.alice.*",
    )


def test_a_chat21_token_has_what_the_stock_client_publishes_and_no_more() -> None:
    """Contract, 1.1: outgoing, receipts, conversation changes and presence; sessions of QoS 0 with a UUID."""
    assert chat21_scopes("tilechat", "ME") == (
        "rabbitmq.configure:%2F/mqtt-subscription-*-*-4*-*-*qos0",
        "rabbitmq.write:%2F/mqtt-subscription-*-*-4*-*-*qos0",
        "rabbitmq.read:%2F/mqtt-subscription-*-*-4*-*-*qos0",
        "rabbitmq.read:%2F/amq.topic/apps.tilechat.users.ME.*",
        "rabbitmq.write:%2F/amq.topic/apps.tilechat.outgoing.users.ME.*",
        "rabbitmq.write:%2F/amq.topic/apps.tilechat.users.ME.presence.*",
        "rabbitmq.write:%2F/amq.topic/apps.tilechat.users.ME.conversations.*.update",
        "rabbitmq.write:%2F/amq.topic/apps.tilechat.users.ME.conversations.*.archive",
        "rabbitmq.write:%2F/amq.topic/apps.tilechat.users.ME.messages.*.update",
    )


@pytest.mark.parametrize("make", [standard_scopes, chat21_scopes])
def test_a_virtual_host_is_spelt_so_that_nothing_in_it_is_a_wildcard(make: type) -> None:
    """A virtual host may be called `a*/b`."""
    assert all(scope.split(":")[1].startswith("a%2A%2Fb/") for scope in make("demo", "alice", vhost="a*/b"))


def test_scopes_are_for_the_audience_that_the_broker_is_called_by() -> None:
    assert all(scope.startswith("chat.") for scope in standard_scopes("demo", "alice", audience="chat"))


def test_a_client_id_is_the_user_and_his_device() -> None:
    assert client_id("alice", "phone") == "alice.phone"
