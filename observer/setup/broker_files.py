"""What RabbitMQ reads at its start, rendered from the templates in `rabbitmq/` into one folder.

The folder is all that the broker gets: the authority's key and the observer's key stay outside.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from observer.errors import ConfigError
from observer.setup.definitions import render_definitions
from observer.setup.files import OPEN_MODE, SECRET_MODE, make_folder, write_if_changed
from observer.setup.signing_keys import BrokerKey, PublicKey, SharedKey

LOOPBACK = "127.0.0.1"
SUPPORTED_SINCE = (3, 10)
SUPPORTED = "RabbitMQ 3.10 or a later 3.x, or RabbitMQ 4.2 or later"
"""What `is_supported` says, for an operator."""
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class BrokerPorts:
    """Where the broker listens."""

    amqps: int = 5671
    mqtt: int = 1883
    mqtts: int = 8883
    websocket: int = 15675
    websockets: int = 15676
    management: int = 15672
    prometheus: int = 15692


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """Everything that the broker's files depend on."""

    version: tuple[int, int]
    """Major and minor version of RabbitMQ."""
    keys: Sequence[BrokerKey]
    """What checks tokens. The first one is the default key: it checks tokens that name none."""
    shards: int = 4
    ports: BrokerPorts = field(default_factory=BrokerPorts)
    client_address: str = LOOPBACK
    """Where MQTT and WebSocket listen."""
    private_address: str = LOOPBACK
    """Where AMQP, management and metrics listen."""
    seen_as: str | None = None
    """The folder's path as the broker sees it, if that is another one (a container)."""


def is_supported(version: tuple[int, ...]) -> bool:
    """Whether RabbitMQ of this major and minor version starts with our files; 4.0 and 4.1 do not know every key."""
    return SUPPORTED_SINCE <= version < (4, 0) or version >= (4, 2)


def write_broker_files(directory: Path, plan: BrokerPlan, *, certificates: Path) -> bool:
    """Write the broker's folder; return whether anything changed. Raises ConfigError."""
    make_folder(directory)
    make_folder(directory / "keys")
    made = [
        write_if_changed(directory / name, content, mode=_mode(name))
        for name, content in render(plan, directory=plan.seen_as or str(directory.resolve())).items()
    ]
    copied = [
        write_if_changed(directory / name, (certificates / name).read_bytes(), mode=_mode(name))
        for name in ("ca.pem", "server.pem", "server.key")
    ]
    return any(made + copied)


def render(plan: BrokerPlan, *, directory: str) -> Mapping[str, bytes]:
    """The text of every file by its name, for a broker that sees the folder as `directory`."""
    files = {
        "rabbitmq.conf": render_conf(plan, directory=directory),
        "definitions.json": render_definitions(
            template("definitions.json"), shards=plan.shards, has_safe_reject=plan.version >= (4, 0)
        ),
        "enabled_plugins": template("enabled_plugins"),
        "advanced.config": render_advanced(plan),
    }
    keys = {f"keys/{key.key_id}.pem": key.pem.encode() for key in plan.keys if isinstance(key, PublicKey)}
    return {name: text.encode() for name, text in files.items()} | keys


def render_conf(plan: BrokerPlan, *, directory: str) -> str:
    """rabbitmq.conf: the common part and that of the broker's major version."""
    text = template("rabbitmq.conf") + template("rabbitmq-4.conf" if plan.version >= (4, 0) else "rabbitmq-3.conf")
    values = {f"{name}_port": str(getattr(plan.ports, name)) for name in BrokerPorts.__slots__} | {
        "client_address": plan.client_address,
        "private_address": plan.private_address,
        "directory": directory,
        "signing_keys": "\n".join(_signing_key_lines(plan, directory)),
    }
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def render_advanced(plan: BrokerPlan) -> str:
    """advanced.config: what rabbitmq.conf has no words for. With a shared key, that is every signing key."""
    parts = [template("advanced.config").strip()]
    if _has_shared_key(plan):
        parts.append(f"{{rabbitmq_auth_backend_oauth2, [{{key_config, {key_config(plan.keys)}}}]}}")
    return "[\n" + ",\n".join(parts) + "\n].\n"


def key_config(keys: Sequence[BrokerKey]) -> str:
    """The keys as the OAuth 2 plugin's own setting, an Erlang term; the first one is the default key."""
    entries = ", ".join(f'<<"{key.key_id}">> => {erlang_key(key)}' for key in keys)
    algorithms = ", ".join(sorted({'<<"RS256">>' if isinstance(key, PublicKey) else '<<"HS256">>' for key in keys}))
    return (
        f'[{{default_key, <<"{keys[0].key_id}">>}}, {{algorithms, [{algorithms}]}}, {{signing_keys, #{{{entries}}}}}]'
    )


def erlang_key(key: BrokerKey) -> str:
    """The key as an Erlang term of the OAuth 2 plugin."""
    match key:
        case PublicKey():
            return f'{{pem, <<"{key.pem.strip()}">>}}'
        case SharedKey():
            secret = base64.urlsafe_b64encode(key.secret).rstrip(b"=").decode()
            return f'{{map, #{{<<"kty">> => <<"oct">>, <<"k">> => <<"{secret}">>}}}}'


def template(name: str) -> str:
    """The text of a file of `rabbitmq/`: beside the package in the repository, inside it when installed."""
    folders = (Path(__file__).parents[2] / "rabbitmq", Path(__file__).parent / "rabbitmq")
    for folder in folders:
        if (folder / name).exists():
            return (folder / name).read_text()
    raise ConfigError(f"the template {name} is missing from {folders[1]}: install inbox-observer again")


def _has_shared_key(plan: BrokerPlan) -> bool:
    return any(isinstance(key, SharedKey) for key in plan.keys)


def _signing_key_lines(plan: BrokerPlan, directory: str) -> list[str]:
    if _has_shared_key(plan):
        return ["# The keys are in advanced.config."]
    files = [f"auth_oauth2.signing_keys.{key.key_id} = {directory}/keys/{key.key_id}.pem" for key in plan.keys]
    return [f"auth_oauth2.default_key = {plan.keys[0].key_id}", "auth_oauth2.algorithms.1 = RS256", *files]


def _mode(name: str) -> int:
    return SECRET_MODE if name in ("server.key", "advanced.config") else OPEN_MODE
