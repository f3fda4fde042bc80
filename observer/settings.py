"""One tree of settings, each described: `docs/configuration.md` is generated from it.

What carries messages never sees it: `app.py` gives each part what it needs. Filled from file and environment by
`settings_load.py`; what must hold between two settings is in `settings_checks.py`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from policies.base import WhoMayWrite

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]

MAX_MESSAGE_BYTES = 4_000_000
"""No message may be larger, by MQTT or by HTTP. Written anew, JSON can be 3.8 times as long (of `1e15,` becomes
`1000000000000000.0,`), and RabbitMQ 4 takes no message, MongoDB no document above 16 MiB: one that came in and does not
go out again, or cannot be stored, would hold up its shard."""


class Section(BaseModel):
    """A frozen part of the tree; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BrokerSettings(Section):
    """RabbitMQ, as the observer reaches it: AMQP over TLS with a client certificate."""

    host: str = Field("127.0.0.1", description="Host name or address of RabbitMQ.")
    port: Port = Field(5671, description="Its AMQP port (TLS).")
    server_name: str = Field("", description="Name to expect in the broker's certificate, if not `host`.")
    vhost: str = Field("/", description="Virtual host; it is the observer's own.")
    ca_file: Path = Field(
        Path("var/broker/ca.pem"),
        description="PEM file of the authority that signed the broker's certificate.",
    )
    cert_file: Path = Field(
        Path("var/broker/observer.pem"),
        description="The observer's client certificate; its common name is its broker user.",
    )
    key_file: Path = Field(Path("var/broker/observer.key"), description="The key of that certificate.")
    shards: int = Field(
        4,
        ge=1,
        le=256,
        description="Number of shard queues. Fixed when the broker is set up; grow it only with the queues drained.",
    )
    prefetch: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="Deliveries of a shard that may be on their way to this process at once.",
    )
    batch_max: int = Field(500, ge=1, le=5_000, description="Messages of a shard that are processed together at most.")
    trips_at_once: int = Field(
        1,
        ge=1,
        le=256,
        description="Trips that may be under way at once; one carries what all shards have, and meanwhile the next one "
        "grows. More can help where the store is far away.",
    )
    heartbeat_s: int = Field(
        5,
        ge=1,
        le=60,
        description="AMQP heartbeat; a frozen process loses its shards after about twice this.",
    )
    confirm_timeout_s: Seconds = Field(
        10.0, description="How long no publisher confirm may come before the line is taken for dead."
    )
    dead_letter_after: int = Field(
        5,
        ge=1,
        le=50,
        description="Tries of a message that fails for no reason of the services', before it is dead-lettered.",
    )


class StoreSettings(Section):
    """Where messages are kept."""

    url: SecretStr = Field(
        SecretStr("sqlite:///var/observer.db"),
        description="`sqlite:///path` (one process) or `mongodb://…/database`.",
    )
    timeout_s: Seconds = Field(
        10.0, description="How long one operation may take before the store counts as unavailable."
    )


class ShapeSettings(Section):
    """Policy `shape`: what a message may look like."""

    enabled: bool = Field(True, description="Whether the policy is on.")
    max_bytes: int = Field(65_536, ge=256, le=MAX_MESSAGE_BYTES, description="Largest payload.")
    max_depth: int = Field(16, ge=1, le=128, description="Deepest nesting of objects and lists.")
    max_fields: int = Field(100, ge=1, le=10_000, description="Most fields of the message object itself.")
    max_text: int = Field(20_000, ge=1, description="Most characters of `text`.")


class RateLimitSettings(Section):
    """Policy `rate_limit`: a token bucket per sender, in each process for the shards it owns."""

    enabled: bool = Field(True, description="Whether the policy is on.")
    capacity: int = Field(60, ge=1, description="Messages that may come at once.")
    refill_per_s: float = Field(5.0, gt=0, description="Messages per second in the long run.")


class SwitchSettings(Section):
    """A policy that has only a switch."""

    enabled: bool = Field(True, description="Whether the policy is on.")


class PrivacySettings(Section):
    """Policy `privacy`: who may start writing to a recipient."""

    enabled: bool = Field(True, description="Whether the policy is on.")
    who_may_write: WhoMayWrite = Field(WhoMayWrite.EVERYONE, description="What holds for users who have not chosen.")


class PolicySettings(Section):
    """Which policies judge a message, and their limits."""

    shape: ShapeSettings = ShapeSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    ban: SwitchSettings = Field(SwitchSettings(), description="Policy `ban`: who is shut out of a whole app.")
    block: SwitchSettings = Field(SwitchSettings(), description="Policy `block`: who is kept away by one recipient.")
    privacy: PrivacySettings = PrivacySettings()
    extra: dict[str, dict[str, str | int | float | bool]] = Field(
        default_factory=dict,
        description="Third-party policies by entry point name (group `inbox_observer.policies`), with their options.",
    )


class Chat21Profile(Section):
    """Tokens for stock Chat21 clients; off unless a key is given. What it cannot protect: docs/security.md."""

    enabled: bool = Field(False, description="Whether `profile: chat21` may be asked for.")
    app: str = Field("tilechat", description="The only app that stock clients know.")
    key: SecretStr = Field(SecretStr(""), description="HS256 key shared with the broker, at least 32 bytes.")
    key_id: str = Field("tiledesk-key", description="The key's id on the broker (its default key).")
    ttl_s: int = Field(86_400, ge=60, le=315_360_000, description="Life of such a token.")


class TokenSettings(Section):
    """The broker tokens that we issue."""

    keys_dir: Path = Field(
        Path("var/keys"), description="Folder of the signing keys; made by `observer setup`, mode 0700."
    )
    algorithm: Literal["RS256", "HS256"] = Field(
        "RS256", description="Signature of broker tokens. HS256 only if the broker was set up for it."
    )
    ttl_s: int = Field(
        3600,
        ge=60,
        le=86_400,
        description="Life of a token: how long a revoked user may at most stay connected.",
    )
    audience: str = Field("rabbitmq", description="The broker's resource server id.")
    chat21: Chat21Profile = Chat21Profile()


class Role(StrEnum):
    """What an API key may do."""

    ISSUER = "issuer"  # issue tokens for any user of its app
    ADMIN = "admin"  # that, and bans, and act for any user of its app


class ApiKey(Section):
    """A key for the embedding app's own servers, sent as `Authorization: Bearer <key>`."""

    app: str = Field(description="The one app that it is good for.")
    role: Role = Field(Role.ISSUER, description="`issuer`: tokens for any user. `admin`: bans and any user's data too.")
    sha256: str = Field(
        pattern="^[0-9a-f]{64}$",
        repr=False,  # nor shown where it does not fit: it may be the key itself
        description="SHA-256 of the key, in hex: the key itself is nowhere kept.",
    )


class TrustedIssuer(Section):
    """An embedding app whose own JWTs vouch for its users."""

    app: str = Field(description="The one app whose users it may name.")
    issuer: str = Field("", description="Required `iss`, if not empty.")
    audience: str = Field("", description="Required `aud`, if not empty.")
    algorithms: tuple[Literal["RS256", "HS256"], ...] = Field(
        ("RS256",), description="Accepted signatures; never both with one key."
    )
    jwks_url: str = Field("", description="Where its public keys are (https, or http on loopback).")
    shared_key: SecretStr = Field(SecretStr(""), description="Its HS256 key, at least 32 bytes.")
    user_claim: str = Field("sub", description="The claim that holds the user id.")


class IdentitySettings(Section):
    """Whom we believe when they say who a user is."""

    api_keys: dict[str, ApiKey] = Field(default_factory=dict, description="API keys by a name of your choice.")
    issuers: dict[str, TrustedIssuer] = Field(
        default_factory=dict, description="Trusted issuers by a name of your choice."
    )


class ApiSettings(Section):
    """The HTTP API."""

    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you say otherwise.")
    port: Port = Field(8080, description="Port to listen on.")
    max_body_bytes: int = Field(131_072, ge=1024, le=MAX_MESSAGE_BYTES, description="Largest request body.")
    rate_capacity: int = Field(120, ge=1, description="Requests of one caller that may come at once.")
    rate_refill_per_s: float = Field(20.0, gt=0, description="Requests of one caller per second in the long run.")
    trusted_proxies: tuple[str, ...] = Field(
        (),
        description="Addresses or networks of the proxies in front: only their X-Forwarded-For is believed. "
        "Without it all who come through a proxy share one address, and one rate limit.",
    )
    cors_origins: tuple[str, ...] = Field((), description="Web origins that may call the API from a browser.")
    metrics_open: bool = Field(
        False,
        description="Whether /metrics answers without an admin key. It holds no ids, but who is blocked can see there "
        "that his message was dropped.",
    )


class PublicSettings(Section):
    """Where clients find the broker: told to them with each token, used for nothing else."""

    mqtt_url: str = Field("mqtt://127.0.0.1:1883", description="MQTT endpoint as clients reach it.")
    websocket_url: str = Field(
        "ws://127.0.0.1:15675/ws", description="MQTT over WebSocket endpoint as clients reach it."
    )
    api_url: str = Field("http://127.0.0.1:8080", description="The HTTP API as clients reach it.")


class LogSettings(Section):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is written.")
    format: Literal["auto", "json", "pretty"] = Field(
        "auto", description="`auto`: pretty on a terminal, JSON elsewhere."
    )


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """File and environment come through `settings_load.py`: it refuses unknown variables, which sources ignore."""
        return (init_settings,)

    broker: BrokerSettings = BrokerSettings()
    store: StoreSettings = StoreSettings()
    policies: PolicySettings = PolicySettings()
    tokens: TokenSettings = TokenSettings()
    identity: IdentitySettings = IdentitySettings()
    api: ApiSettings = ApiSettings()
    public: PublicSettings = PublicSettings()
    log: LogSettings = LogSettings()
    shutdown_timeout_s: Seconds = Field(20.0, description="How long in-flight work may take after SIGTERM.")
