"""`observer doctor` on a real broker: all is well where all is well, and what is wrong is found."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from observer.cli import main
from observer.doctor.finding import Level
from observer.doctor.store import check_store
from observer.settings import StoreSettings
from tests.services.observer import RunningObserver, environment_of
from tests.services.ports import free_port
from tests.services.rabbitmq import RunningBroker


def doctor(environment: Mapping[str, str], *options: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit status, and the findings by check."""
    unset = {name: None for name in os.environ if name.startswith("OBSERVER_")}
    result = CliRunner().invoke(main, [*options, "doctor", "--json"], env={**unset, **environment})
    findings: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(result.stdout)["findings"]:
        findings.setdefault(finding["check"], []).append(finding)
    return result.exit_code, findings


def levels(findings: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """The worst that was found in each check."""
    worst_first = ("failed", "warning", "ok")
    return {check: min((one["level"] for one in found), key=worst_first.index) for check, found in findings.items()}


@pytest.mark.broker
def test_a_set_up_that_runs_is_well(observer: RunningObserver) -> None:
    status, findings = doctor(observer.environment)

    assert status == 0, findings
    found = levels(findings)
    assert [check for check, level in found.items() if level == "failed"] == []
    well = ("broker", "broker log-in", "broker version", "broker access", "topology", "MQTT", "WebSocket", "HTTP API")
    assert {check: found[check] for check in well} == dict.fromkeys(well, "ok")


@pytest.mark.broker
def test_the_set_up_in_this_folder_is_found_without_being_named(
    observer: RunningObserver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As beside a `make run` in another terminal; it says which one it looked at."""
    file = tmp_path / "var" / "observer.toml"
    file.parent.mkdir()
    file.write_text(CliRunner().invoke(main, ["check-config"], env=dict(observer.environment)).stdout)
    monkeypatch.chdir(tmp_path)

    status, findings = doctor({})

    assert status == 0, findings
    assert findings["configuration"][0]["text"].endswith("those that lie here, in var/observer.toml")
    assert f":{observer.settings.broker.port} " in findings["broker"][0]["text"]
    assert levels(findings)["HTTP API"] == "ok"


@pytest.mark.parametrize("name", ["--config", "OBSERVER_CONFIG"])
def test_a_set_up_that_is_named_goes_before_the_one_in_this_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("var").mkdir()
    Path("var/observer.toml").write_text(f"[api]\nport = {free_port()}\n")
    named, port = tmp_path / "named.toml", free_port()
    named.write_text(f"[api]\nport = {port}\n[broker]\nport = {free_port()}\n")
    option, variable = (["--config", str(named)], {}) if name == "--config" else ([], {name: str(named)})

    _, findings = doctor(variable, *option)

    assert findings["configuration"][0]["text"] == f"valid; the settings are those of {named}"
    assert f":{port}" in findings["HTTP API"][0]["text"]


def test_where_no_set_up_is_found_it_says_that_it_looks_at_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, findings = doctor({"OBSERVER_BROKER__PORT": str(free_port())})
    assert (
        "there is no var/observer.toml here, so the settings are the defaults" in findings["configuration"][0]["text"]
    )


def test_a_policy_that_is_not_installed_is_wrong_configuration() -> None:
    result = CliRunner().invoke(main, ["doctor"], env={"OBSERVER_POLICIES__EXTRA__WORDS__WORDS": "spam"})
    assert result.exit_code == 2
    assert "policies.extra.words: no installed package offers a policy of this name" in result.stderr


@pytest.mark.broker
def test_before_the_observer_runs_only_that_is_missing(broker: RunningBroker, tmp_path: Path) -> None:
    status, findings = doctor(environment_of(broker, tmp_path))

    assert status == 0, findings
    assert levels(findings)["shards"] == "warning"
    assert "start it: `observer run` with the same --config" in findings["HTTP API"][0]["remedy"]


@pytest.mark.broker
def test_more_shards_here_than_on_the_broker_is_found(broker: RunningBroker, tmp_path: Path) -> None:
    environment = environment_of(broker, tmp_path, OBSERVER_BROKER__SHARDS=str(broker.shards + 1))
    status, findings = doctor(environment)
    assert status == 1
    assert findings["topology"][0]["text"] == f"not there: queue chat.in.{broker.shards}"


@pytest.mark.broker
def test_fewer_shards_here_than_on_the_broker_is_found(broker: RunningBroker, tmp_path: Path) -> None:
    environment = environment_of(broker, tmp_path, OBSERVER_BROKER__SHARDS=str(broker.shards - 1))
    status, findings = doctor(environment)
    assert status == 1
    assert "read by nobody" in findings["topology"][0]["text"]


@pytest.mark.broker
def test_a_broker_that_does_not_answer_is_found(broker: RunningBroker, tmp_path: Path) -> None:
    status, findings = doctor(environment_of(broker, tmp_path, OBSERVER_BROKER__PORT=str(free_port())))
    assert status == 1
    assert "no AMQP greeting" in findings["broker"][0]["text"]


@pytest.mark.broker
def test_a_port_that_speaks_something_else_is_found(broker: RunningBroker, tmp_path: Path) -> None:
    environment = environment_of(broker, tmp_path, OBSERVER_BROKER__PORT=str(broker.mqtts_port))
    status, findings = doctor(environment)
    assert status == 1
    assert levels(findings)["broker"] == "failed"


@pytest.mark.broker
def test_a_broker_certificate_of_another_authority_is_found(broker: RunningBroker, tmp_path: Path) -> None:
    environment = environment_of(broker, tmp_path, OBSERVER_BROKER__SERVER_NAME="elsewhere.example")
    status, findings = doctor(environment)
    assert status == 1
    assert "elsewhere.example" in findings["broker"][0]["text"]


@pytest.mark.mongo
async def test_a_mongodb_that_answers_is_well(mongo_url: str) -> None:
    finding = await check_store(StoreSettings(url=SecretStr(mongo_url)), is_observer_running=False)
    assert finding.level is Level.OK, finding


@pytest.mark.usefixtures("pymongo_may_leave_sockets")
async def test_a_mongodb_that_does_not_answer_is_found_without_a_word_about_its_password() -> None:
    url = SecretStr(f"mongodb://observer:hunter2@127.0.0.1:{free_port()}/chat")
    finding = await check_store(StoreSettings(url=url, timeout_s=1.0), is_observer_running=False)
    assert finding.level is Level.FAILED
    assert "hunter2" not in finding.text
