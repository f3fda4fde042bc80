"""An issuer's web server, which publishes its keys: well, or badly on purpose."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from observer.tokens.keys import KeyRing

MOVED = "/moved"


@dataclass
class JwksServer:
    """An issuer's web server: answers what a test wants, and counts."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"keys":[]}'
    never_ends: bool = False
    is_dripping: threading.Event = field(default_factory=threading.Event)
    """Set while an answer that never ends is under way."""
    requests: int = 0

    def publish(self, ring: KeyRing) -> None:
        self.body = json.dumps(ring.jwks()).encode()

    def redirect(self, ring: KeyRing) -> None:
        """To itself, at an address where the keys are."""
        self.publish(ring)
        self.status, self.headers = 302, {"Location": self.url + MOVED}


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[JwksServer]:
    """A web server, with TLS where a context is given."""
    served = JwksServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests += 1
            self.send_response(200 if self.path.endswith(MOVED) else served.status)
            for name, value in {"Content-Length": str(len(served.body)), **served.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(served.body)
            with contextlib.suppress(OSError):  # until the client has had enough
                while served.never_ends:
                    self.wfile.write(b" ")
                    served.is_dripping.set()
                    time.sleep(0.01)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output clean."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        if context is not None:
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
        scheme = "http" if context is None else "https"
        served.url = f"{scheme}://127.0.0.1:{listening.server_address[1]}/jwks"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            served.never_ends = False
            listening.shutdown()
            thread.join()


class Server(ThreadingHTTPServer):
    """Says nothing of clients that break off: they do so on purpose here."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep the test's output clean."""
