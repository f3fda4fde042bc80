"""The log-ins of a benchmark's clients. Both kinds need the signing key: only who runs the broker can measure it."""

from collections.abc import Sequence
from time import time

import jwt

from observer import topics
from observer.bench.mqtt import Login
from observer.tokens.base import TokenIssuer
from observer.tokens.issue import random_device
from observer.tokens.keys import SigningKey
from observer.tokens.scopes import client_id, standard_scopes

BARE_TTL_S = 3600


def logins(issuer: TokenIssuer, app: str, users: Sequence[str]) -> list[Login]:
    """Log-ins with the tokens that real clients get."""
    issued = [issuer.issue(app, user) for user in users]
    return [Login(one.client_id, one.username, one.token, one.subscribe) for one in issued]


def bare_logins(key: SigningKey, app: str, users: Sequence[str], *, vhost: str, audience: str) -> list[Login]:
    """Log-ins that may also write into every inbox of the app, which no user's token ever allows."""
    expires = int(time()) + BARE_TTL_S

    def login(user: str) -> Login:
        scopes = standard_scopes(app, user, vhost=vhost, audience=audience)
        anywhere = scopes[-1].replace(f"apps.{app}.outgoing.users.{user}.*", f"apps.{app}.users.*")
        claims = {"sub": user, "aud": audience, "exp": expires, "scope": [*scopes, anywhere]}
        token = jwt.encode(claims, key.signer, algorithm=key.algorithm, headers={"kid": key.kid})
        return Login(client_id(app, user, random_device()), user, token, topics.inbox_filter(app, user))

    return [login(user) for user in users]
