"""The OpenAPI document tells the truth: no input, however odd, gets an answer that it does not name."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import Counter

from observer.api.problems import KINDS
from tests.unit.api.world import ADMIN_KEY, World

METHODS = {"get", "put", "post", "delete"}
WORDS = ["alice", "bob", "user", "since", "start", "now", "before", "after", "limit", "recipient", "text", "message_id"]
WORDS += ["client_message_id", "up_to", "until", "reason", "who_may_write", "nobody", "device", "profile", "attributes"]

text = st.sampled_from(WORDS) | st.text(max_size=20)
scalar = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text
)
ids = st.sampled_from(WORDS) | st.text("ab#*%é \x00", min_size=1)
json_value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=5), max_leaves=10
)


def operations(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    paths: dict[str, dict[str, Any]] = world.app.openapi()["paths"]
    return [(method, path, one) for path, methods in paths.items() for method, one in methods.items()]


async def test_the_document_is_served_and_every_operation_is_described(world: World) -> None:
    document = (await world.call("GET", "/openapi.json")).raise_for_status().json()
    assert document["openapi"].startswith("3.1")
    for method, path, operation in operations(world):
        assert method in METHODS
        assert operation["description"], path
        assert operation["tags"], path
        is_open = path in {"/livez", "/readyz", "/v1/jwks.json"}
        assert ("security" in operation) is not is_open, path
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_every_reference_in_the_document_leads_somewhere(world: World) -> None:
    document = world.app.openapi()
    names = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert names
    assert names <= set(document["components"]["schemas"])


async def test_every_error_in_the_document_is_a_problem_with_a_known_code(world: World) -> None:
    for _, path, operation in operations(world):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], path
                codes = re.findall(r"`(\w+)`:", response["description"])
                assert codes
                assert {KINDS[code].status for code in codes} == {int(status)}, path


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_no_input_gets_an_answer_that_the_document_does_not_name(world: World, data: st.DataObject) -> None:
    method, path, operation = data.draw(st.sampled_from(operations(world)))
    filled = re.sub(r"{\w+}", lambda _: quote(data.draw(ids), safe=""), path)
    query = data.draw(st.dictionaries(text, text, max_size=4))
    key = data.draw(st.sampled_from([ADMIN_KEY, world.app_jwt("alice"), "garbage"]))
    body: dict[str, Any] = {"json": data.draw(json_value)} if data.draw(st.booleans()) else {}
    answer = await world.call(method, filled, key=key, params=query, **body)
    named = operation["responses"]
    assert str(answer.status_code) in named, answer.text
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] in KINDS
        assert answer.status_code != 500


async def test_the_page_of_the_docs_needs_nothing_from_elsewhere(world: World) -> None:
    """Operators may have no internet: no script, no foreign style, and a policy that forbids both."""
    answer = await world.call("GET", "/docs")
    assert answer.status_code == 200
    assert "script" not in answer.text
    assert not re.search(r"(src|href)=\"?(https?:)?//", answer.text)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for _, path, _ in operations(world):
        assert f"<code>{path}</code>" in answer.text


@pytest.mark.parametrize("path", ["/docs", "/v1/sync", "/nothing"])
async def test_every_answer_forbids_framing_and_sniffing(world: World, path: str) -> None:
    answer = await world.call("GET", path)
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_metrics_come_from_the_registry_that_was_given(world: World) -> None:
    Counter("tests_seen", "For this test.", registry=world.app.state.services.registry).inc(3)
    answer = await world.call("GET", "/metrics", key=ADMIN_KEY)
    assert answer.status_code == 200
    assert "tests_seen_total 3.0" in answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
