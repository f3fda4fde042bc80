"""From settings to the token parts; called by `app.py` and the command line."""

from observer.errors import ConfigError
from observer.settings import IdentitySettings, Settings, TokenSettings, TrustedIssuer
from observer.tokens.base import CallerRole
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.identity import ApiKey, Identities
from observer.tokens.issue import BrokerTokens
from observer.tokens.jwks import JwksKeys
from observer.tokens.keys import HMAC_MIN_BYTES, KeyStore
from observer.tokens.trusted import Issuer


def build_tokens(settings: Settings) -> tuple[BrokerTokens, Identities]:
    """The issuer and the identifier, sharing one key store. Raises ConfigError for keys that are missing or weak."""
    tokens = settings.tokens
    keys = KeyStore(tokens.keys_dir, tokens.algorithm)
    chat21 = build_chat21(tokens, settings.broker.vhost)
    identities = Identities(
        keys,
        audience=tokens.audience,
        api_keys=build_api_keys(settings.identity),
        issuers=build_issuers(settings.identity),
        chat21=chat21,
    )
    return _issuer(settings, keys, chat21), identities


def build_issuer(settings: Settings) -> BrokerTokens:
    """The issuer alone. Raises ConfigError for keys that are missing or weak."""
    keys = KeyStore(settings.tokens.keys_dir, settings.tokens.algorithm)
    return _issuer(settings, keys, build_chat21(settings.tokens, settings.broker.vhost))


def build_chat21(tokens: TokenSettings, vhost: str) -> Chat21Tokens | None:
    """The chat21 profile, or None where it is off. Raises ConfigError for a weak key."""
    profile = tokens.chat21
    if not profile.enabled:
        return None
    return Chat21Tokens(
        profile.key.get_secret_value().encode(),
        key_id=profile.key_id,
        app=profile.app,
        ttl_s=profile.ttl_s,
        audience=tokens.audience,
        vhost=vhost,
    )


def build_api_keys(identity: IdentitySettings) -> tuple[ApiKey, ...]:
    """The API keys of all apps."""
    return tuple(
        ApiKey(
            name=name,
            app=key.app,
            role=CallerRole(key.role.value),
            sha256=key.sha256,
        )
        for name, key in identity.api_keys.items()
    )


def build_issuers(identity: IdentitySettings) -> tuple[Issuer, ...]:
    """The trusted issuers. Raises ConfigError where one has not the kind of key that its algorithms need."""
    return tuple(_trusted_issuer(f"identity.issuers.{name}", trusted) for name, trusted in identity.issuers.items())


def _issuer(settings: Settings, keys: KeyStore, chat21: Chat21Tokens | None) -> BrokerTokens:
    tokens = settings.tokens
    return BrokerTokens(keys, ttl_s=tokens.ttl_s, audience=tokens.audience, vhost=settings.broker.vhost, chat21=chat21)


def _trusted_issuer(setting: str, trusted: TrustedIssuer) -> Issuer:
    return Issuer(
        app=trusted.app,
        shared_key=_shared_key(setting, trusted),
        jwks=_jwks(setting, trusted),
        issuer=trusted.issuer,
        audience=trusted.audience,
        user_claim=trusted.user_claim,
    )


def _shared_key(setting: str, trusted: TrustedIssuer) -> bytes | None:
    key = trusted.shared_key.get_secret_value().encode()
    if bool(key) != ("HS256" in trusted.algorithms):
        raise ConfigError(f"{setting}: shared_key and HS256 in algorithms go together; set both or neither")
    if key and len(key) < HMAC_MIN_BYTES:
        raise ConfigError(f"{setting}.shared_key has {len(key)} bytes and needs at least {HMAC_MIN_BYTES}")
    return key or None


def _jwks(setting: str, trusted: TrustedIssuer) -> JwksKeys | None:
    if bool(trusted.jwks_url) != ("RS256" in trusted.algorithms):
        raise ConfigError(f"{setting}: jwks_url and RS256 in algorithms go together; set both or neither")
    return JwksKeys(trusted.jwks_url, name=f"{setting}.jwks_url") if trusted.jwks_url else None
