"""From settings to the token parts; called by `app.py` and the command line."""

from observer.settings import IdentitySettings, Settings, TokenSettings, TrustedIssuer
from observer.tokens.base import CallerRole
from observer.tokens.chat21 import Chat21Tokens
from observer.tokens.identity import ApiKey, Identities
from observer.tokens.issue import BrokerTokens
from observer.tokens.jwks import JwksKeys
from observer.tokens.keys import KeyStore
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
    """The trusted issuers; that each has the keys that its algorithms need, `settings_checks.py` has seen to."""
    return tuple(_trusted_issuer(name, trusted) for name, trusted in identity.issuers.items())


def _issuer(settings: Settings, keys: KeyStore, chat21: Chat21Tokens | None) -> BrokerTokens:
    tokens = settings.tokens
    return BrokerTokens(keys, ttl_s=tokens.ttl_s, audience=tokens.audience, vhost=settings.broker.vhost, chat21=chat21)


def _trusted_issuer(name: str, trusted: TrustedIssuer) -> Issuer:
    url = trusted.jwks_url
    return Issuer(
        app=trusted.app,
        shared_key=trusted.shared_key.get_secret_value().encode() or None,
        jwks=JwksKeys(url, name=f"identity.issuers.{name}.jwks_url") if url else None,
        issuer=trusted.issuer,
        audience=trusted.audience,
        user_claim=trusted.user_claim,
    )
