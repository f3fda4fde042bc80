"""Scopes are exactly what was found to be tight."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observer.tokens.scopes import SESSION_PREFIX, chat21_scopes, client_id, standard_scopes
from observer.topics import APP_MAX_LENGTH, ID_MAX_LENGTH


def test_a_standard_token_has_exactly_the_five_scopes_that_were_tested() -> None:
    """Each is needed, and no other (docs/facts.md, "Scopes")."""
    assert standard_scopes("demo", "alice") == (
        "rabbitmq.configure:%2F/mqtt-subscription-demo.alice.*",
        "rabbitmq.write:%2F/mqtt-subscription-demo.alice.*",
        "rabbitmq.read:%2F/mqtt-subscription-demo.alice.*",
        "rabbitmq.read:%2F/amq.topic/apps.demo.users.alice.*",
        "rabbitmq.write:%2F/amq.topic/apps.demo.outgoing.users.alice.*",
    )


def test_a_chat21_token_has_what_the_stock_client_publishes_and_no_more() -> None:
    """What docs/facts.md, "Chat21 topics" and "Chat21 connections" say that it does, and no more."""
    assert chat21_scopes("tilechat", "ME") == (
        "rabbitmq.configure:%2F/mqtt-subscription-*-*-4*-*-*qos0",
        "rabbitmq.write:%2F/mqtt-subscription-*-*-4*-*-*qos0",
        "rabbitmq.read:%2F/mqtt-subscription-*-*-4*-*-*qos0",
        "rabbitmq.read:%2F/amq.topic/apps.tilechat.users.ME.*",
        "rabbitmq.write:%2F/amq.topic/apps.tilechat.outgoing.users.ME.*",
        "rabbitmq.write:%2F/amq.topic/apps.tilechat.users.ME.keepalive",
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


def test_a_client_id_is_the_app_the_user_and_his_device() -> None:
    assert client_id("demo", "alice", "phone") == "demo.alice.phone"


APPS = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)
IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
NEAR = st.text("-_a4", min_size=1, max_size=3)
"""Ids that look alike: here a loose rule shows."""
OWNERS = st.tuples(APPS, IDS) | st.tuples(NEAR, NEAR)


@settings(max_examples=500, deadline=None)
@given(one=OWNERS, other=OWNERS, device=IDS | NEAR)
def test_no_two_owners_share_a_client_id(one: tuple[str, str], other: tuple[str, str], device: str) -> None:
    """What the scopes of one end in matches no client id of another, be he called the same in another app."""
    reached = client_id(*other, device).startswith(client_id(*one, ""))
    assert reached == (one == other)


@given(owner=OWNERS, device=IDS | NEAR)
def test_a_client_id_can_be_taken_apart_again(owner: tuple[str, str], device: str) -> None:
    assert tuple(client_id(*owner, device).replace("~", "-").split(".")) == (*owner, device)


@given(owner=OWNERS, device=IDS | NEAR)
def test_a_standard_client_id_has_not_the_shape_that_a_chat21_token_reaches(
    owner: tuple[str, str], device: str
) -> None:
    """Its pattern `*-*-4*-*-*` needs four dashes: with a UUID as user id, as many apps have, there would be four."""
    assert "-" not in client_id(*owner, device)


def test_the_longest_session_has_a_name_that_the_broker_takes() -> None:
    """AMQP 0-9-1: the name of a queue has at most 255 bytes."""
    longest = client_id("a" * APP_MAX_LENGTH, "u" * ID_MAX_LENGTH, "d" * ID_MAX_LENGTH)
    assert len(f"{SESSION_PREFIX}{longest}qos1") == 184
