"""Finding free ports and taken ones on loopback."""

import socket
from contextlib import ExitStack

from observer.setup.broker_files import LOOPBACK


def free_ports(count: int) -> list[int]:
    """`count` different ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]


def is_taken(port: int, *, address: str = LOOPBACK) -> bool:
    """Whether somebody listens on `port` already."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just left counts as free
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False
