"""What must hold between settings (an error), and what an operator should look at twice (a warning). Pure."""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from observer.settings import Settings, TrustedIssuer
from observer.settings_keys import KeyPath, dotted, variable
from observer.topics import is_app

MIN_KEY_BYTES = 32
"""RFC 7518, 3.2: an HS256 key is at least as long as the hash."""
_LONG_TOKEN_S = 30 * 86_400


def contradictions(settings: Settings) -> list[str]:
    """Sentences about what cannot work; empty if all is well."""
    return [
        *_wrong_store(settings),
        *_wrong_tokens(settings),
        *_wrong_identities(settings),
        *_wrong_addresses(settings),
    ]


def risks(settings: Settings) -> list[str]:
    """Sentences about what works and may not be meant."""
    return [*_risky_listening(settings), *_risky_policies(settings), *_risky_tokens(settings), *_odd_sizes(settings)]


_LATER_HOSTS = re.compile(r",[^/@]*(?=/)")
"""The URL of a replica set names several hosts, which the URL standard does not know: PyMongo checks them."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _must(path: KeyPath, what: str) -> str:
    return f"{dotted(path)}: {what}; set it in the file or as {variable(path)}"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return None
    return parts


def _wrong_store(settings: Settings) -> Iterator[str]:
    parts = _split(_LATER_HOSTS.sub("", settings.store.url.get_secret_value()))
    match parts:
        case SplitResult(scheme="sqlite", netloc="", path=path) if len(path) > 1:
            return
        # An @ behind the host: a password with a slash that is not escaped, cut in two.
        case SplitResult(scheme="mongodb" | "mongodb+srv", path=path) if len(path) > 1 and parts.netloc:
            if "@" not in path:
                return
    yield _must(
        ("store", "url"),
        "it must be sqlite:///path/to/file or mongodb://host/database, with user and password percent-encoded "
        "(value not shown)",
    )


def _wrong_tokens(settings: Settings) -> Iterator[str]:
    chat21 = settings.tokens.chat21
    length = len(chat21.key.get_secret_value().encode())
    if chat21.enabled and length < MIN_KEY_BYTES:
        yield _must(
            ("tokens", "chat21", "key"),
            f"the chat21 profile is on and needs a key of at least {MIN_KEY_BYTES} bytes (it has {length})",
        )
    if not is_app(chat21.app):
        yield _must(("tokens", "chat21", "app"), _app_rule(chat21.app))


def _app_rule(app: str) -> str:
    return f"{app!r} is no app id: 1 to 32 characters of A-Z a-z 0-9 _ -"


def _wrong_identities(settings: Settings) -> Iterator[str]:
    for name, key in settings.identity.api_keys.items():
        if not is_app(key.app):
            yield _must(("identity", "api_keys", name, "app"), _app_rule(key.app))
    for name, issuer in settings.identity.issuers.items():
        yield from _wrong_issuer(("identity", "issuers", name), issuer)


def _wrong_issuer(path: KeyPath, issuer: TrustedIssuer) -> Iterator[str]:
    length = len(issuer.shared_key.get_secret_value().encode())
    if not is_app(issuer.app):
        yield _must((*path, "app"), _app_rule(issuer.app))
    if not issuer.algorithms:
        yield _must((*path, "algorithms"), "name at least one of RS256 and HS256")
    if "HS256" in issuer.algorithms and length < MIN_KEY_BYTES:
        yield _must(
            (*path, "shared_key"), f"HS256 is accepted, so a key of at least {MIN_KEY_BYTES} bytes is needed ({length})"
        )
    if "HS256" not in issuer.algorithms and length:
        yield _must((*path, "shared_key"), "it is given, and HS256 is not accepted: set both or neither")
    if "RS256" not in issuer.algorithms and issuer.jwks_url:
        yield _must((*path, "jwks_url"), "it is given, and RS256 is not accepted: set both or neither")
    if "RS256" in issuer.algorithms and not _is_safe_jwks(issuer.jwks_url):
        yield _must(
            (*path, "jwks_url"),
            f"RS256 is accepted, so an https address is needed (http on loopback only), not {issuer.jwks_url!r}",
        )
    if not issuer.user_claim:
        yield _must((*path, "user_claim"), "it must not be empty")


def _is_safe_jwks(url: str) -> bool:
    parts = _split(url)
    host = parts.hostname if parts else None
    return bool(parts and host and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))))


def _wrong_addresses(settings: Settings) -> Iterator[str]:
    for path, host in ((("broker", "host"), settings.broker.host), (("api", "host"), settings.api.host)):
        if not host.strip():
            yield _must(path, "it must not be empty")
    public = settings.public
    for name, url, schemes in (
        ("mqtt_url", public.mqtt_url, ("mqtt", "mqtts")),
        ("websocket_url", public.websocket_url, ("ws", "wss")),
        ("api_url", public.api_url, ("http", "https")),
    ):
        parts = _split(url)
        if not parts or parts.scheme not in schemes or not parts.hostname:
            yield _must(("public", name), f"{url!r} is not an address that begins with {' or '.join(schemes)}://")


def _risky_listening(settings: Settings) -> Iterator[str]:
    if not is_loopback(settings.api.host):
        yield (
            f"api.host = {settings.api.host}: the HTTP API speaks no TLS and other machines reach it; "
            "put a proxy with TLS before it, or use 127.0.0.1"
        )
    if settings.api.metrics_open:
        yield (
            "api.metrics_open = true: whoever reads /metrics sees when a block drops his message; "
            "let no proxy pass it on, or use false"
        )
    public = settings.public
    for name, url in (
        ("mqtt_url", public.mqtt_url),
        ("websocket_url", public.websocket_url),
        ("api_url", public.api_url),
    ):
        parts = urlsplit(url)
        if parts.scheme in ("mqtt", "ws", "http") and not is_loopback(parts.hostname or ""):
            yield f"public.{name} = {url}: tokens and messages travel without TLS"
    if "*" in settings.api.cors_origins:
        yield "api.cors_origins holds *: any web page may call the API with a token that it was given"


def _risky_policies(settings: Settings) -> Iterator[str]:
    for name in ("shape", "rate_limit", "ban", "block", "privacy"):
        if not getattr(settings.policies, name).enabled:
            yield f"policies.{name}.enabled = false: this policy is off for everyone"


def _risky_tokens(settings: Settings) -> Iterator[str]:
    identity, chat21 = settings.identity, settings.tokens.chat21
    if not identity.api_keys and not identity.issuers:
        yield "identity is empty: nobody can get a token over HTTP, only with `observer token issue`"
    if settings.tokens.algorithm == "HS256":
        yield "tokens.algorithm = HS256: whoever reads the broker's configuration can make tokens"
    if chat21.enabled:
        yield "tokens.chat21.enabled = true: such tokens protect less than standard ones (docs/security.md)"
        if chat21.ttl_s > _LONG_TOKEN_S:
            yield f"tokens.chat21.ttl_s = {chat21.ttl_s}: a stolen token stays good for more than 30 days"


def _odd_sizes(settings: Settings) -> Iterator[str]:
    broker, shape, api = settings.broker, settings.policies.shape, settings.api
    if broker.batch_max > broker.prefetch:
        yield (
            f"broker.batch_max = {broker.batch_max} is more than broker.prefetch = {broker.prefetch}: "
            "no batch can be larger than the prefetch"
        )
    if shape.max_text > shape.max_bytes:
        yield f"policies.shape.max_text = {shape.max_text} can never be reached: max_bytes is {shape.max_bytes}"
    if api.max_body_bytes < shape.max_bytes:
        yield f"api.max_body_bytes = {api.max_body_bytes} is less than what a message may have ({shape.max_bytes})"
