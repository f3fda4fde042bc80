"""The chat21 profile on a real broker: the stock client's ways work, and nothing beyond them.

The tokens here carry the profile's scopes and are signed with the broker's RS256 key: only the scopes are in question.
"""

import time
from itertools import product
from uuid import uuid4

import jwt
import pytest

from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import KeyStore, read_ring
from observer.tokens.scopes import chat21_scopes
from tests.integration.attempts import Login, allowed, line, login_of, may_publish, may_subscribe
from tests.integration.foreign import APP, foreign_filters, foreign_topics
from tests.services.rabbitmq import RunningBroker

pytestmark = pytest.mark.broker

OWN_TOPICS = [
    f"apps/{APP}/outgoing/users/ME/messages/bob/outgoing",
    f"apps/{APP}/users/ME/presence/x",
    f"apps/{APP}/users/ME/keepalive",
    f"apps/{APP}/users/ME/conversations/bob/update",
    f"apps/{APP}/users/ME/conversations/bob/archive",
    f"apps/{APP}/users/ME/messages/bob/message-1/update",
]
"""All that stock clients publish to (docs/facts.md, "Chat21 topics"), and the `keepalive` of the current web app."""


@pytest.fixture
def login(broker: RunningBroker) -> Login:
    """As the stock client connects: user name JWT, a random UUID."""
    key = read_ring(broker.keys_dir).current
    claims = {"sub": "ME", "aud": ["rabbitmq", "ME"], "exp": int(time.time()) + 300, "scope": chat21_scopes(APP, "ME")}
    token = jwt.encode(claims, key.signer, "RS256", headers={"kid": key.kid})
    return Login(broker.mqtt_port, str(uuid4()), "JWT", token)


def fresh(login: Login) -> Login:
    """The same user from another device."""
    return Login(login.port, str(uuid4()), login.username, login.password)


def test_the_stock_client_may_do_all_that_it_does(login: Login) -> None:
    with line(login) as made:
        assert made.connect()
        assert made.subscribe(f"apps/{APP}/users/ME/#")
        assert [topic for topic in OWN_TOPICS if not made.publish(topic)] == []


def test_it_may_not_read_what_is_not_its_users(login: Login) -> None:
    def attempt(topic_filter: str) -> bool:
        return may_subscribe(fresh(login), topic_filter)

    assert allowed(foreign_filters("ME", "bob"), attempt) == []


def test_it_may_not_write_into_any_inbox(login: Login) -> None:
    """Its own neither: no `clientadded`, `clientupdated`, `clientdeleted`, no group change."""
    topics = [topic for topic in foreign_topics("ME", "bob") if topic not in OWN_TOPICS and "/users/ME/" in topic]
    others = [topic for topic in foreign_topics("ME", "bob") if "/users/ME/" not in topic]
    permitted = {f"apps/{APP}/users/ME/messages/bob/m-1/update"}

    def attempt(topic: str) -> bool:
        return may_publish(fresh(login), topic)

    assert set(allowed([*topics, *others], attempt)) == permitted


def test_it_may_hold_no_session_but_that_of_a_random_client_id(broker: RunningBroker, login: Login) -> None:
    """Sessions of standard clients, and all that keep messages with QoS 1, are out of its reach.

    Many apps have UUIDs as user ids; and any id may have the dashes and the 4 of one.
    """
    tokens = BrokerTokens(KeyStore(broker.keys_dir))
    standard = tokens.issue(APP, "bob")
    like_a_uuid = [
        tokens.issue(*owner, device=device).client_id
        for owner, device in (
            ((APP, str(uuid4())), "phone"),
            ((APP, "bob"), str(uuid4())),
            (("an-app-4-it-all", "bob"), "phone"),
            (("an-app", "me-4-you"), "my-phone"),
        )
    ]
    cases = list(product((standard.client_id, "bob.phone", "phone", "ME", *like_a_uuid), (0, 1), (True, False)))

    def attempt(case: tuple[str, int, bool]) -> bool:
        client_id, qos, is_clean = case
        wanted = Login(login.port, client_id, login.username, login.password, is_clean=is_clean)
        return may_subscribe(wanted, f"apps/{APP}/users/ME/#", qos=qos)

    assert allowed(cases, attempt) == []
    assert not may_subscribe(fresh(login), f"apps/{APP}/users/ME/#", qos=1)
    assert may_subscribe(login_of(standard, broker.mqtt_port), standard.subscribe, qos=1)
