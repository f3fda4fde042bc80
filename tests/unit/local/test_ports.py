"""Which ports are taken, on either kind of loopback."""

import socket

import pytest

from observer.local.ports import is_taken


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_is_taken_while_somebody_listens_on_it(family: socket.AddressFamily, address: str) -> None:
    try:
        listener = socket.create_server((address, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {address}")
    with listener:
        port = listener.getsockname()[1]
        assert is_taken(port, address=address)
    assert not is_taken(port, address=address)
