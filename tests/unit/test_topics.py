"""The topic grammar: nothing outside the alphabet and the one shape gets through, and nothing inside it is lost."""

import re
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from observer import topics
from observer.errors import InvalidTopic

ALPHABET = string.ascii_letters + string.digits + "_-"
ids = st.text(ALPHABET, min_size=1, max_size=topics.ID_MAX_LENGTH)
apps = st.text(ALPHABET, min_size=1, max_size=topics.APP_MAX_LENGTH)

BAD_IDS = [
    "",
    "a.b",
    "a/b",
    "+",
    "#",
    "*",
    "a*",
    "a%2Ab",
    "$SYS",
    "a b",
    " a",
    "a\n",
    "a\x00",
    "é",
    "٣",  # a digit, but not an ASCII one
    "😀",
    "jo@example.org",
    "\\xff",
    "a" * 65,
    "a" * 256,
    "a" * 60_000,
]


@given(app=apps, sender=ids, recipient=ids)
def test_what_outgoing_joins_parse_splits(app: str, sender: str, recipient: str) -> None:
    routing_key = topics.outgoing(app, sender, recipient)
    assert topics.parse(routing_key) == topics.Outgoing(app, sender, recipient)
    assert topics.author(routing_key) == topics.Author(app, sender)


@given(app=apps, sender=ids, recipient=ids)
def test_no_topic_of_ours_passes_the_255_bytes_that_amqp_carries(app: str, sender: str, recipient: str) -> None:
    keys = (topics.outgoing(app, sender, recipient), topics.client_added(app, sender, recipient))
    assert all(len(key.encode()) <= 255 for key in (*keys, topics.refused(app, sender)))


def test_the_topics_are_those_of_the_contract() -> None:
    assert topics.mqtt(topics.outgoing("demo", "A", "B")) == "apps/demo/outgoing/users/A/messages/B/outgoing"
    assert topics.mqtt(topics.client_added("demo", "A", "B")) == "apps/demo/users/A/messages/B/clientadded"
    assert topics.mqtt(topics.refused("demo", "A")) == "apps/demo/users/A/refused"
    assert topics.inbox_filter("demo", "A") == "apps/demo/users/A/#"


@pytest.mark.parametrize("bad", BAD_IDS, ids=lambda bad: ascii(bad[:20]))
def test_an_id_outside_the_alphabet_is_none(bad: str) -> None:
    assert not topics.is_id(bad)
    assert not topics.is_app(bad)
    with pytest.raises(InvalidTopic) as user:
        topics.check_id(bad)
    with pytest.raises(InvalidTopic) as app:
        topics.check_app(bad)
    assert user.value.code == app.value.code == "invalid_id"
    assert len(user.value.reason) < 200


@given(text=st.text(max_size=80))
@example("a\n")
@example("A-Z_09")
@example("a" * 32)
@example("a" * 33)
@example("a" * 64)
@example("a" * 65)
def test_is_id_agrees_with_the_alphabet(text: str) -> None:
    assert topics.is_id(text) == (1 <= len(text) <= 64 and all(character in ALPHABET for character in text))
    assert topics.is_app(text) == (1 <= len(text) <= 32 and all(character in ALPHABET for character in text))


@pytest.mark.parametrize("bad", [bad for bad in BAD_IDS if bad and "." not in bad], ids=lambda bad: ascii(bad[:20]))
@pytest.mark.parametrize("place", ["app", "sender", "recipient"])
def test_a_topic_with_a_bad_id_is_refused_for_the_id(bad: str, place: str) -> None:
    names = {"app": "demo", "sender": "alice", "recipient": "bob"} | {place: bad}
    with pytest.raises(InvalidTopic) as refused:
        topics.parse(topics.outgoing(**names))
    assert refused.value.code == "invalid_id"


@pytest.mark.parametrize(
    "routing_key",
    [
        "",
        ".",
        "apps",
        "apps.demo.outgoing.users.alice.messages.bob",
        "apps.demo.outgoing.users.alice.messages.bob.outgoing.more",
        "apps.demo.outgoing.users.alice.messages.bo.b.outgoing",
        "apps.demo.outgoing.users.al.ice.messages.bob.outgoing",
        "apps.demo.outgoing.users.alice.messages.bob.incoming",
        "apps.demo.outgoing.users.alice.messages.bob.Outgoing",
        "apps.demo.outgoing.users.alice.message.bob.outgoing",
        "apps.demo.users.alice.messages.bob.outgoing",
        ".apps.demo.outgoing.users.alice.messages.bob.outgoing",
        "apps/demo/outgoing/users/alice/messages/bob/outgoing",
        "x" * 60_000,
        "." * 60_000,
    ],
    ids=lambda key: ascii(key[:70]),
)
def test_a_topic_of_another_shape_is_refused_for_its_shape(routing_key: str) -> None:
    with pytest.raises(InvalidTopic) as refused:
        topics.parse(routing_key)
    assert refused.value.code == "invalid_topic"
    assert len(refused.value.reason) < 300


@pytest.mark.parametrize(
    ("routing_key", "author"),
    [
        ("apps.demo.outgoing.users.alice", topics.Author("demo", "alice")),
        ("apps.demo.outgoing.users.alice.messages.b b.outgoing", topics.Author("demo", "alice")),
        ("apps.demo.outgoing.users.alice" + ".x" * 1000, topics.Author("demo", "alice")),
        ("apps.demo.outgoing.users.al ice.messages.bob.outgoing", None),
        ("apps.demo.outgoing.users.*.messages.bob.outgoing", None),
        ("apps.de mo.outgoing.users.alice.messages.bob.outgoing", None),
        ("apps.demo.outgoing.users", None),
        ("apps.demo.outgoing.users.", None),
        ("apps.demo.users.alice.messages.bob", None),
        ("", None),
    ],
)
def test_the_author_is_whoever_the_first_five_levels_name_and_nobody_else(
    routing_key: str, author: topics.Author | None
) -> None:
    assert topics.author(routing_key) == author


@given(routing_key=st.text() | st.lists(st.sampled_from(["apps", "outgoing", "users", "a", "", "*"])).map(".".join))
def test_no_routing_key_makes_the_grammar_fail_in_another_way(routing_key: str) -> None:
    topics.author(routing_key)
    try:
        parsed = topics.parse(routing_key)
    except InvalidTopic:
        return
    assert topics.outgoing(parsed.app, parsed.sender, parsed.recipient) == routing_key


@given(value=st.text())
@example("\n" * 500)
@example("\ud800")
def test_what_is_shown_to_a_human_is_short_printable_ascii(value: str) -> None:
    assert re.fullmatch(r"[ -~…]{0,100}", topics.shown(value))
