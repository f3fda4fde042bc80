"""A missing service is a skip on a laptop and a failure where it is required."""

import pytest

from tests.services.missing import SERVICES, missing, required_services


@pytest.mark.parametrize(
    ("environment", "required"),
    [
        pytest.param({}, set(), id="a laptop requires nothing"),
        pytest.param({"CI": "true"}, set(SERVICES), id="CI requires everything"),
        pytest.param({"CI": "true", "OBSERVER_TEST_REQUIRE": "rabbitmq"}, {"rabbitmq"}, id="a list wins over CI"),
        pytest.param({"OBSERVER_TEST_REQUIRE": " mongo, node "}, {"mongo", "node"}, id="a list works on a laptop"),
        pytest.param({"CI": "true", "OBSERVER_TEST_REQUIRE": ""}, set(), id="an empty list requires nothing"),
    ],
)
def test_what_is_required_follows_the_list_and_then_ci(environment: dict[str, str], required: set[str]) -> None:
    assert required_services(environment) == required


def test_a_misspelt_service_is_named_together_with_the_known_ones() -> None:
    with pytest.raises(pytest.UsageError, match=r"rabitmq.*rabbitmq"):
        required_services({"OBSERVER_TEST_REQUIRE": "rabitmq"})


def test_a_missing_service_is_a_skip_where_it_is_not_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVER_TEST_REQUIRE", "")
    with pytest.raises(pytest.skip.Exception, match="no engine"):
        missing("docker", "no engine")


def test_a_missing_service_is_a_failure_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVER_TEST_REQUIRE", "docker")
    with pytest.raises(pytest.fail.Exception, match="no engine"):
        missing("docker", "no engine")
