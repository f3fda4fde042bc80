"""Erlang's port mapper (epmd): a daemon that Erlang programs leave behind, so each of ours gets one of its own."""

import socket
import time

from observer.setup.broker_files import LOOPBACK

TIMEOUT_S = 2.0
POLL_S = 0.05


def epmd_environment(port: int) -> dict[str, str]:
    """Keeps the port mapper that an Erlang program starts on loopback and apart from the machine's own."""
    return {"ERL_EPMD_ADDRESS": LOOPBACK, "ERL_EPMD_PORT": str(port)}


def stop_epmd(port: int) -> None:
    """End the port mapper on `port`, once no node is registered with it; nothing if there is none."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1.0) as line:
                line.sendall(b"\x00\x01k")  # KILL_REQ; refused while it still sees a node
                if line.recv(2) == b"OK":
                    return
        except OSError:
            return
        time.sleep(POLL_S)
