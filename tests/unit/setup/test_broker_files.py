"""The files that RabbitMQ reads."""

from dataclasses import replace
from pathlib import Path

import pytest

from observer.setup.broker_files import BrokerPlan, BrokerPorts, render, render_conf, write_broker_files
from observer.setup.certificates import ensure_certificates
from observer.setup.signing_keys import PublicKey, SharedKey

CURRENT = PublicKey("aaaa", "-----BEGIN PUBLIC KEY-----\ncurrent\n-----END PUBLIC KEY-----\n")
NEXT = PublicKey("bbbb", "-----BEGIN PUBLIC KEY-----\nnext\n-----END PUBLIC KEY-----\n")
PLAN = BrokerPlan(version=(4, 3), keys=(CURRENT, NEXT))


def settings_of(conf: str) -> dict[str, str]:
    lines = [line for line in conf.splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ", 1) for line in lines)


@pytest.mark.parametrize("version", [(3, 10), (4, 3)])
def test_every_listener_is_on_loopback_unless_said_otherwise(version: tuple[int, int]) -> None:
    """Nothing is reachable from outside by accident."""
    settings = settings_of(render_conf(replace(PLAN, version=version), directory="/broker"))

    addresses = {
        value.rsplit(":", 1)[0]
        for key, value in settings.items()
        if (".listeners." in f".{key}" and value != "none") or key.endswith(".ip")
    }

    assert addresses == {"127.0.0.1"}


def test_clients_and_operators_may_listen_elsewhere() -> None:
    """In a container both are published, but not the same way."""
    plan = replace(PLAN, client_address="0.0.0.0", private_address="10.0.0.1")  # noqa: S104

    settings = settings_of(render_conf(plan, directory="/broker"))

    assert settings["mqtt.listeners.tcp.default"] == "0.0.0.0:1883"
    assert settings["web_mqtt.tcp.ip"] == "0.0.0.0"  # noqa: S104
    assert settings["listeners.ssl.default"] == "10.0.0.1:5671"
    assert settings["management.tcp.ip"] == settings["prometheus.tcp.ip"] == "10.0.0.1"


def test_every_port_can_be_chosen() -> None:
    """Several brokers share a machine in tests."""
    numbers = range(20001, 20008)

    conf = render_conf(replace(PLAN, ports=BrokerPorts(*numbers)), directory="/broker")

    assert all(str(number) in conf for number in numbers)
    assert "{{" not in conf


def test_what_only_one_series_knows_goes_to_that_series() -> None:
    """An unknown key keeps RabbitMQ from starting."""
    old = settings_of(render_conf(replace(PLAN, version=(3, 10)), directory="/broker"))
    new = settings_of(render_conf(PLAN, directory="/broker"))

    assert set(old) - set(new) == {"mqtt.subscription_ttl"}
    assert "mqtt.max_packet_size_authenticated" in set(new) - set(old)


def test_public_keys_are_named_in_the_configuration_and_written_beside_it() -> None:
    """The first one checks tokens that name none."""
    files = render(PLAN, directory="/broker")

    settings = settings_of(files["rabbitmq.conf"].decode())

    assert settings["auth_oauth2.default_key"] == "aaaa"
    assert settings["auth_oauth2.signing_keys.bbbb"] == "/broker/keys/bbbb.pem"
    assert NEXT.pem.encode() == files["keys/bbbb.pem"]


def test_a_shared_key_is_in_the_advanced_configuration_only() -> None:
    """RabbitMQ has no other place for it, and everybody may read the others."""
    files = dict(render(replace(PLAN, keys=(SharedKey("old", b"\xff" * 32), CURRENT)), directory="/broker"))

    advanced = files.pop("advanced.config").decode()
    others = b"".join(files.values()).decode()

    assert "_" * 42 in advanced
    assert '{default_key, <<"old">>}' in advanced
    assert '[<<"HS256">>, <<"RS256">>]' in advanced
    assert "auth_oauth2.signing_keys" not in others
    assert "_" * 42 not in others


def test_the_broker_is_given_no_private_key_but_its_own(tmp_path: Path) -> None:
    """Who breaks into the broker must not be able to make certificates."""
    ensure_certificates(tmp_path / "certificates", server_names=["localhost"])

    changed = write_broker_files(tmp_path / "broker", PLAN, certificates=tmp_path / "certificates")
    again = write_broker_files(tmp_path / "broker", PLAN, certificates=tmp_path / "certificates")

    assert (changed, again) == (True, False)
    assert [path.name for path in (tmp_path / "broker").rglob("*.key")] == ["server.key"]
    assert (tmp_path / "broker" / "server.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "broker" / "advanced.config").stat().st_mode & 0o777 == 0o600
