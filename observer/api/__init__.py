"""The HTTP API: `create_api` builds it, `listen` and `serve` run it. One file a resource; docs/api.md is the tour."""

from observer.api.app import create_api
from observer.api.server import listen, serve
from observer.api.services import ApiOptions, Health

__all__ = ["ApiOptions", "Health", "create_api", "listen", "serve"]
