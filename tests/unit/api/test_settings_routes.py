"""Blocks, contacts, privacy, bans and profiles: what the call answered is what the next look-up of a message sees."""

from typing import Any

import pytest

from observer.store.base import Query
from policies.base import Privacy, Relation, WhoMayWrite
from tests.unit.api.conftest import WorldWith
from tests.unit.api.world import ADMIN_KEY, OTHER_ADMIN_KEY, World

RELATION = ("demo", "alice", "bob")


async def relation(world: World) -> Relation:
    found = await world.store.look_up(Query(relations=[RELATION]))
    return found.relations.get(RELATION, Relation())


@pytest.mark.parametrize("path", ["/v1/blocks", "/v1/contacts"])
async def test_a_user_is_put_on_the_list_and_taken_off_it_as_often_as_one_likes(world: World, path: str) -> None:
    def holds(found: Relation) -> bool:
        return found.is_blocked if path == "/v1/blocks" else found.is_contact

    for method, is_on in [("DELETE", False), ("PUT", True), ("PUT", True), ("DELETE", False)]:
        answer = await world.call(method, f"{path}/bob", as_user="alice")
        assert (answer.status_code, answer.content) == (204, b"")
        assert holds(await relation(world)) is is_on
        users = (await world.call("GET", path, as_user="alice")).json()["users"]
        assert [one["user"] for one in users] == (["bob"] if is_on else [])
        assert all(one["since"] <= world.clock() for one in users)
    assert (await world.call("GET", path, as_user="bob")).json() == {"users": [], "next": None}


@pytest.mark.parametrize("path", ["/v1/blocks", "/v1/contacts"])
async def test_a_list_comes_in_pages(world: World, path: str) -> None:
    names = ["bob", "carol", "dave", "erin", "frank"]
    for name in reversed(names):
        await world.call("PUT", f"{path}/{name}", as_user="alice")
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = (await world.call("GET", path, as_user="alice", params=query)).json()
        found += [one["user"] for one in page["users"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert found == names


@pytest.mark.parametrize("path", ["/v1/blocks", "/v1/contacts"])
async def test_nobody_stands_on_his_own_list(world: World, path: str) -> None:
    assert (await world.call("PUT", f"{path}/alice", as_user="alice")).status_code == 422


async def test_whom_one_has_written_to_is_a_contact_until_un_named(world: World) -> None:
    await world.store_message("alice", "bob", "hi")
    assert (await relation(world)).is_contact
    await world.call("DELETE", "/v1/contacts/bob", as_user="alice")
    assert not (await relation(world)).is_contact


async def test_the_blocked_gets_the_same_answers_as_before(world: World) -> None:
    paths = ["/v1/users/alice/profile", "/v1/conversations/alice", "/v1/conversations/alice/messages", "/v1/privacy"]
    await world.store_message("bob", "alice", "hi")
    before = [await world.call("GET", path, as_user="bob") for path in paths]
    await world.call("PUT", "/v1/blocks/bob", as_user="alice")
    after = [await world.call("GET", path, as_user="bob") for path in paths]
    assert [(one.status_code, one.json()) for one in before] == [(one.status_code, one.json()) for one in after]
    sent = await world.call("POST", "/v1/messages", as_user="bob", json={"recipient": "alice", "text": "hi"})
    assert sent.status_code == 202


async def test_privacy_is_everyones_until_it_is_set(world: World) -> None:
    assert (await world.call("GET", "/v1/privacy", as_user="alice")).json() == {"who_may_write": "everyone"}
    for choice in ("contacts", "nobody", "everyone"):
        answer = await world.call("PUT", "/v1/privacy", as_user="alice", json={"who_may_write": choice})
        assert answer.json() == (await world.call("GET", "/v1/privacy", as_user="alice")).json()
        found = await world.store.look_up(Query(recipients=[("demo", "alice")]))
        assert found.privacy == {("demo", "alice"): Privacy(WhoMayWrite(choice))}


async def test_privacy_is_the_operators_until_it_is_set(world_with: WorldWith) -> None:
    world = world_with(default_privacy=Privacy(WhoMayWrite.CONTACTS))
    assert (await world.call("GET", "/v1/privacy", as_user="alice")).json() == {"who_may_write": "contacts"}
    await world.call("PUT", "/v1/privacy", as_user="alice", json={"who_may_write": "everyone"})
    assert (await world.call("GET", "/v1/privacy", as_user="alice")).json() == {"who_may_write": "everyone"}


@pytest.mark.parametrize("wanted", [{}, {"who_may_write": "friends"}, {"who_may_write": "nobody", "hide": True}])
async def test_privacy_that_means_nothing_is_refused(world: World, wanted: dict[str, Any]) -> None:
    answer = await world.call("PUT", "/v1/privacy", as_user="alice", json=wanted)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_an_admin_bans_lists_and_lifts(world: World) -> None:
    until = world.clock() + 60_000
    for user, wanted in (("mallory", {"until": until, "reason": "spam"}), ("oscar", None)):
        body: dict[str, Any] = {"json": wanted} if wanted else {}
        assert (await world.call("PUT", f"/v1/bans/{user}", key=ADMIN_KEY, **body)).status_code == 204
    first = (await world.call("GET", "/v1/bans?limit=1", key=ADMIN_KEY)).json()
    assert first["bans"] == [
        {"user": "mallory", "until": until, "reason": "spam", "by": "support", "since": world.clock()}
    ]
    rest = (await world.call("GET", "/v1/bans", key=ADMIN_KEY, params={"after": first["next"]})).json()
    assert [(one["user"], one["until"], rest["next"]) for one in rest["bans"]] == [("oscar", None, None)]
    assert [(await world.call("DELETE", "/v1/bans/mallory", key=ADMIN_KEY)).status_code for _ in range(2)] == [204, 404]


async def test_a_ban_is_of_the_admins_own_app_alone(world: World) -> None:
    await world.call("PUT", "/v1/bans/alice", key=OTHER_ADMIN_KEY)
    assert (await world.call("GET", "/v1/bans", key=ADMIN_KEY)).json()["bans"] == []
    assert (await world.call("DELETE", "/v1/bans/alice", key=ADMIN_KEY)).status_code == 404
    assert (await world.call("GET", "/v1/sync", as_user="alice")).status_code == 200


@pytest.mark.parametrize("until", [0, -1, 2**60, "tomorrow", 1_700_000_000])
async def test_a_ban_that_would_end_before_it_begins_is_refused(world: World, until: Any) -> None:
    """The last one is in seconds: a mistake that would else lift the ban at once."""
    answer = await world.call("PUT", "/v1/bans/mallory", key=ADMIN_KEY, json={"until": until})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_ban_shuts_every_route_until_its_last_millisecond(world: World) -> None:
    until = world.clock() + 1_000
    await world.call("PUT", "/v1/bans/mallory", key=ADMIN_KEY, json={"until": until})
    world.clock.now_ms = until - 1
    answer = await world.call("GET", "/v1/sync", as_user="mallory")
    assert (answer.status_code, answer.json()["code"], answer.json()["until"]) == (403, "banned", until)
    world.clock.now_ms = until
    assert (await world.call("GET", "/v1/sync", as_user="mallory")).status_code == 200


async def test_a_profile_is_public_within_its_app_and_says_nothing_of_who_exists(world: World) -> None:
    jwt = world.app_jwt("bob", profile={"name": "Bob"})
    await world.call("POST", "/v1/tokens", key=jwt)
    seen = await world.call("GET", "/v1/users/bob/profile", as_user="alice")
    assert seen.json() == {"user": "bob", "profile": {"name": "Bob"}}
    nobody = await world.call("GET", "/v1/users/nobody/profile", as_user="alice")
    elsewhere = await world.call("GET", "/v1/users/bob/profile", key=world.broker_token("alice", app="other"))
    assert [(one.status_code, one.json()["profile"]) for one in (nobody, elsewhere)] == [(200, None), (200, None)]


@pytest.mark.parametrize("user", ["a.b", "%23", "%2A", "a b", "é", "x" * 65, "%00"])
@pytest.mark.parametrize(
    "path", ["/v1/blocks/{}", "/v1/contacts/{}", "/v1/bans/{}", "/v1/users/{}/profile", "/v1/conversations/{}"]
)
async def test_an_id_outside_the_alphabet_is_refused_everywhere(world: World, path: str, user: str) -> None:
    method = "GET" if path.endswith("profile") or "conversations" in path else "PUT"
    key = ADMIN_KEY if "bans" in path else world.app_jwt("alice")
    answer = await world.call(method, path.format(user), key=key)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_id")
    assert "A-Z a-z 0-9 _ -" in answer.json()["detail"]


async def test_the_user_whom_an_admin_names_is_checked_too(world: World) -> None:
    answer = await world.call("GET", "/v1/sync?user=a.%23", key=ADMIN_KEY)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_id")
