"""One free port of this machine."""

from observer.local.ports import free_ports


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on now."""
    return free_ports(1)[0]
