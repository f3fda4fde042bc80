"""The whole set-up in one call: keys, certificates, the broker's folder, an API key, the observer's settings file.

A second call changes nothing that is still right, and never a key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from observer.errors import ConfigError
from observer.settings import TokenSettings
from observer.setup.api_key import API_KEY_NAME, ensure_api_key
from observer.setup.broker_files import (
    LOOPBACK,
    SUPPORTED,
    BrokerPlan,
    BrokerPorts,
    is_supported,
    write_broker_files,
)
from observer.setup.certificates import ensure_certificates
from observer.setup.files import make_folder, write_if_changed
from observer.setup.signing_keys import SharedKey, ensure_signing_keys
from observer.tokens.keys import Algorithm

SETTINGS_FILE = "observer.toml"
USUAL_API_PORT = 8080
ALWAYS_NAMED = ("localhost", LOOPBACK)


@dataclass(frozen=True, slots=True)
class SetUpOptions:
    """What an operator may choose."""

    directory: Path
    """Holds everything of the observer; `broker_directory` holds what the broker reads."""
    broker_version: tuple[int, int]
    broker_directory: Path | None = None
    app: str = "demo"
    """The app that the API key is good for."""
    shards: int = 4
    ports: BrokerPorts = field(default_factory=BrokerPorts)
    api_port: int = USUAL_API_PORT
    client_address: str = LOOPBACK
    private_address: str = LOOPBACK
    server_names: Sequence[str] = ()
    algorithm: Algorithm = "RS256"
    chat21_key: SharedKey | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything is after the set-up."""

    keys: Path
    certificates: Path
    broker: Path
    api_key: Path
    settings: Path


def set_up(options: SetUpOptions) -> Places:
    """Make what is missing or out of date. Raises ConfigError."""
    if not is_supported(options.broker_version):
        major, minor = options.broker_version
        raise ConfigError(f"RabbitMQ {major}.{minor} does not start with our configuration: upgrade to {SUPPORTED}")
    places = _places_of(options)
    make_folder(options.directory)
    keys = ensure_signing_keys(places.keys, options.algorithm)
    ensure_certificates(places.certificates, server_names=sorted({*ALWAYS_NAMED, *options.server_names}))
    plan = BrokerPlan(
        version=options.broker_version,
        keys=(options.chat21_key, *keys) if options.chat21_key else keys,
        shards=options.shards,
        ports=options.ports,
        client_address=options.client_address,
        private_address=options.private_address,
    )
    write_broker_files(places.broker, plan, certificates=places.certificates)
    digest = ensure_api_key(places.api_key)
    write_if_changed(places.settings, "\n".join(_settings_lines(options, places, digest)).encode() + b"\n")
    return places


def _places_of(options: SetUpOptions) -> Places:
    root = options.directory
    return Places(
        keys=root / "keys",
        certificates=root / "broker",
        broker=options.broker_directory or root / "rabbitmq",
        api_key=root / "api.key",
        settings=root / SETTINGS_FILE,
    )


def chat21_key(tokens: TokenSettings) -> SharedKey | None:
    """The key of the chat21 profile, if that is on."""
    profile = tokens.chat21
    return SharedKey(profile.key_id, profile.key.get_secret_value().encode()) if profile.enabled else None


def _settings_lines(options: SetUpOptions, places: Places, digest: str) -> Iterator[str]:
    yield "# Made by `observer setup`, and again when it is called: your own settings go into variables (OBSERVER_...)."
    yield "[broker]"
    yield f"port = {options.ports.amqps}"
    yield f"shards = {options.shards}"
    for name, file in (("ca_file", "ca.pem"), ("cert_file", "observer.pem"), ("key_file", "observer.key")):
        yield f'{name} = "{places.certificates.resolve() / file}"'
    yield "\n[store]"
    yield f'url = "sqlite:///{options.directory.resolve() / "observer.db"}"'
    yield "\n[api]"
    yield f"port = {options.api_port}"
    yield "\n[tokens]"
    yield f'keys_dir = "{places.keys.resolve()}"'
    yield "\n[public]"
    yield f'mqtt_url = "mqtt://127.0.0.1:{options.ports.mqtt}"'
    yield f'websocket_url = "ws://127.0.0.1:{options.ports.websocket}/ws"'
    yield f'api_url = "http://127.0.0.1:{options.api_port}"'
    yield f"\n[identity.api_keys.{API_KEY_NAME}]"
    yield f'app = "{options.app}"'
    yield 'role = "admin"'
    yield f'sha256 = "{digest}"'
