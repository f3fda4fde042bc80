"""From settings to token parts: what cannot work is said with its key."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

from observer.errors import ConfigError, Refused
from observer.settings import Settings
from observer.tokens.base import CallerRole, Profile
from observer.tokens.issue import BrokerTokens
from observer.tokens.keys import generate_key
from observer.tokens.rotation import write_private
from observer.tokens.wiring import build_issuer, build_tokens

KEY = "0123456789abcdef0123456789abcdef"


def settings_of(folder: Path, tokens: dict[str, Any] | None = None, **others: Any) -> Settings:
    return Settings.model_validate({"tokens": {"keys_dir": folder, **(tokens or {})}, **others})


async def test_every_setting_reaches_the_part_it_is_for(folder: Path) -> None:
    api_key = {"app": "shop", "role": "admin", "sha256": hashlib.sha256(b"secret").hexdigest()}
    settings = settings_of(
        folder,
        {
            "ttl_s": 120,
            "audience": "chat",
            "chat21": {"enabled": True, "key": KEY, "key_id": "k", "app": "old", "ttl_s": 90},
        },
        broker={"vhost": "v"},
        identity={"api_keys": {"backend": api_key}},
    )
    issuer, identifier = build_tokens(settings)
    issued = issuer.issue("shop", "alice")
    claims = jwt.decode(issued.token, options={"verify_signature": False})
    assert (claims["aud"], claims["exp"] - claims["iat"]) == ("chat", 120)
    assert issued.scopes[0] == "chat.configure:v/mqtt-subscription-shop.alice.*"
    old = issuer.issue("old", "bob", profile=Profile.CHAT21)
    assert jwt.get_unverified_header(old.token)["kid"] == "k"
    assert old.scopes[0] == "chat.configure:v/mqtt-subscription-*-*-4*-*-*qos0"
    lifetime = jwt.decode(old.token, KEY, ["HS256"], audience="chat")
    assert lifetime["exp"] - lifetime["iat"] == 90
    caller = await identifier.identify("secret")
    assert (caller.app, caller.role, caller.name) == ("shop", CallerRole.ADMIN, "backend")
    assert (await identifier.identify(old.token)).app == "old"
    assert (await identifier.identify(issued.token)).user == "alice"


async def test_an_issuer_with_a_shared_key_is_believed(folder: Path) -> None:
    trusted = {"app": "shop", "algorithms": ["HS256"], "shared_key": KEY}
    strict = {"issuer": "https://shop", "audience": "chat", "user_claim": "uid"}
    _, identifier = build_tokens(settings_of(folder, identity={"issuers": {"of-shop": {**trusted, **strict}}}))
    good = {"uid": "alice", "iss": "https://shop", "aud": "chat", "exp": 4_000_000_000}
    caller = await identifier.identify(jwt.encode(good, KEY, "HS256"))
    assert (caller.app, caller.user) == ("shop", "alice")
    for bad in ({"iss": "https://other"}, {"aud": "other"}, {"uid": None, "sub": "alice"}):
        with pytest.raises(Refused):
            await identifier.identify(jwt.encode({**good, **bad}, KEY, "HS256"))


@pytest.mark.parametrize("build", [build_issuer, lambda settings: build_tokens(settings)[0]])
def test_a_shared_key_signs_where_it_is_configured(tmp_path: Path, build: Callable[[Settings], BrokerTokens]) -> None:
    for slot in ("current", "next"):
        write_private(tmp_path / f"{slot}.key", generate_key("HS256"))
    issued = build(settings_of(tmp_path, {"algorithm": "HS256"})).issue("shop", "alice")
    assert jwt.get_unverified_header(issued.token)["alg"] == "HS256"


def test_a_chat21_key_alone_does_not_switch_the_profile_on(folder: Path) -> None:
    issuer = build_issuer(settings_of(folder, {"chat21": {"key": KEY, "app": "old"}}))
    with pytest.raises(Refused, match="off"):
        issuer.issue("old", "bob", profile=Profile.CHAT21)


def test_a_weak_chat21_key_stops_the_start(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokens\.chat21\.key"):
        build_issuer(settings_of(folder, {"chat21": {"enabled": True, "key": "tokenKey"}}))


def test_missing_keys_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="observer setup"):
        build_issuer(settings_of(tmp_path))
