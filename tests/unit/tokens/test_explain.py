"""What a token allows, in words; and every danger in it is named."""

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observer.errors import Refused
from observer.tokens.base import Profile
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.explain import Explanation, explain
from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import KeyStore
from observer.tokens.rights import explain_scope

NOW = 1_900_000_000
SECRET = b"0123456789abcdef0123456789abcdef"
GOOD: dict[str, Any] = {"sub": "alice", "app_id": "demo", "aud": "rabbitmq", "exp": NOW + 600, "scope": []}


def explained(*, algorithm: str = "HS256", **claims: Any) -> Explanation:
    present = {name: value for name, value in {**GOOD, **claims}.items() if value is not ...}
    return explain(jwt.encode(present, SECRET, algorithm), now=NOW)


def test_a_token_of_ours_is_explained_without_a_warning(keys: KeyStore) -> None:
    issued = BrokerTokens(keys, clock=lambda: NOW).issue("demo", "alice")
    explanation = explain(issued.token, now=NOW + 1, ring=keys.ring)
    assert explanation.warnings == []
    assert explanation.facts == [
        "user 'alice'",
        "app 'demo'",
        f"signed with 'RS256', key '{keys.ring.current.kid}': ours",
        "issued 2030-03-17 17:46:40 UTC",
        "good until 2030-03-17 18:46:40 UTC",
    ]
    assert explanation.rights[3:] == [
        "receive what arrives at apps/demo/users/alice/* in virtual host /",
        "send messages to apps/demo/outgoing/users/alice/* in virtual host /",
    ]


def test_a_chat21_token_is_said_to_reach_sessions_of_others(keys: KeyStore) -> None:
    chat21 = Chat21Tokens(SECRET, key_id="tiledesk-key")
    issued = BrokerTokens(keys, chat21=chat21, clock=lambda: NOW).issue("tilechat", "a", profile=Profile.CHAT21)
    shared, sessions = explain(issued.token, now=NOW).warnings
    assert "shared key" in shared
    assert sessions.startswith("other users' sessions too")


@pytest.mark.parametrize(
    ("claims", "warning"),
    [
        ({"exp": ...}, "no expiry"),
        ({"exp": NOW + 0.5}, "not a whole number"),
        ({"exp": True}, "not a whole number"),
        ({"exp": NOW - 1}, "has expired"),
        ({"exp": NOW + 86_400 * 365}, "365 days"),
        ({"exp": 10**400}, "days"),
        ({"nbf": NOW + 60}, "not before"),
        ({"aud": "another"}, "not for this broker"),
        ({"aud": ["another"]}, "not for this broker"),
        ({"aud": ...}, "not for this broker"),
        ({"sub": "a.b"}, "'a.b' is not 1 to 64"),
        ({"sub": "*"}, "'*' is not 1 to 64"),
        ({"sub": ...}, "(none)"),
        ({"app_id": "a/b"}, "'a/b' is not 1 to 32"),
        ({"app_id": ...}, "names no app"),
        ({"resource_access": {}}, "further rights"),
        ({"scope": ["rabbitmq.tag:administrator"]}, "administrator of the whole broker"),
        ({"scope": "rabbitmq.tag:monitoring"}, "opens the management interface"),
        ({"scope": ["rabbitmq.configure:*/*/*"]}, "could delete the queues"),
        ({"scope": ["rabbitmq.read:*/*"]}, "reaches beyond"),
        ({"scope": "other.read:a/b rabbitmq.write:%2F/*/apps.demo.users.alice.*"}, "reaches beyond"),
        ({"scope": ["rabbitmq.read:%2F/amq.topic/apps.demo.users.*"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.read:%2F/amq.topic/apps.demo.users.alice*"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.read:%2F/amq.topic"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.write:%2F/amq.topic/apps.demo.outgoing.*.alice.*"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.write:%2F/amq.topic/apps.demo.outgoing.users.alice*"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.read:%2F/amq.topic*/apps.demo.users.alice.*"]}, "reaches beyond"),
        ({"scope": ["rabbitmq.write:%2F/amq.topic/apps.demo.users.alice.*"]}, "past the observer"),
        ({"scope": ["rabbitmq.write:%2F/amq.topic/apps.shop.users.alice.presence.*"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.read:%2F/amq.topic/apps.shop.users.alice.*"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.write:%2F/amq.topic/apps.shop.outgoing.users.alice.*"]}, "not 'alice''s alone"),
        ({"scope": ["rabbitmq.write:%2F/mqtt-subscription-demo.alice*"]}, "other users' sessions"),
        ({"scope": ["rabbitmq.write:%2F/mqtt-subscription-alice.*"]}, "other users' sessions"),
        ({"scope": ["rabbitmq.write:%2F/mqtt-subscription-shop.alice.*"]}, "other users' sessions"),
        ({"scope": ["rabbitmq.write:%2F/mqtt-subscription-*.alice.*"]}, "other users' sessions"),
        ({"sub": "*", "scope": ["rabbitmq.read:%2F/amq.topic/apps.demo.users.*.*"]}, "not '*''s alone"),
    ],
    ids=repr,
)
def test_what_is_dangerous_is_named(claims: dict[str, Any], warning: str) -> None:
    assert any(warning in told for told in explained(**claims).warnings)


def test_every_shared_key_is_warned_of_and_nothing_else_in_a_narrow_token() -> None:
    (warning,) = explained().warnings
    assert "shared key" in warning


def test_an_unsigned_token_is_told_apart() -> None:
    token = jwt.encode(GOOD, "", "none")
    assert any("not signed" in warning for warning in explain(token, now=NOW).warnings)


def test_a_forged_signature_is_told_apart(keys: KeyStore) -> None:
    tokens = BrokerTokens(keys, clock=lambda: NOW)
    signed, other = (tokens.issue("demo", user).token.rpartition(".") for user in ("alice", "bob"))
    forged = f"{signed[0]}.{other[2]}"
    explanation = explain(forged, now=NOW, ring=keys.ring)
    assert any("forged" in warning for warning in explanation.warnings)
    assert f"signed with 'RS256', key '{keys.ring.current.kid}': named, but not used" in explanation.facts


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("rabbitmq.read:vh/queue", "take messages out of every queue and exchange named queue in virtual host vh"),
        ("rabbitmq.read:%2F/amq.topic", "receive everything at * in virtual host /"),
        ("rabbitmq.read:%2F/amq.topic/apps.demo.users.al%69ce.*", "receive what arrives at apps/demo/users/alice/* in"),
        ("chat.read:vh/queue", "nothing here: 'chat.read:vh/queue' is for another service than 'rabbitmq'"),
        ("rabbitmq.delete:vh/q", "nothing: 'rabbitmq.delete:vh/q' is no scope that RabbitMQ knows"),
        ("rabbitmq.read:a/b/c/d", "nothing: 'rabbitmq.read:a/b/c/d' is no scope that RabbitMQ knows"),
        ("rabbitmq.write:%2f/%2A%1b", "put messages into every queue and exchange named *\\x1b in virtual host /"),
    ],
)
def test_any_scope_can_be_said_in_words(scope: str, text: str) -> None:
    assert explain_scope(scope, app="demo", user="alice").text.startswith(text)


@pytest.mark.parametrize("text", ["", "word", "a.b.c", "e30.e30", "W10.W10.x", "é.é.é", "\ud800.a.b"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="no token"):
        explain(text, now=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(st.sampled_from([*GOOD, "iat", "nbf", "kid", "alg"]), JSON, max_size=8)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=CLAIMS, claims=CLAIMS)
def test_no_token_breaks_the_explanation_or_writes_to_the_terminal(
    keys: KeyStore, header: dict[str, Any], claims: dict[str, Any]
) -> None:
    """Fuzzing: whatever the claims hold, what comes out is printable."""
    parts = [json.dumps({"alg": "RS256", **header}), json.dumps(claims)]
    token = ".".join([*(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts), "eA"])
    try:
        explanation = explain(token, now=NOW, ring=keys.ring)
    except Refused:
        return
    assert all(line.isprintable() for line in (*explanation.facts, *explanation.rights, *explanation.warnings))
