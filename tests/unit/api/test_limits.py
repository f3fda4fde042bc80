"""What the HTTP API takes for one client address."""

import pytest

from observer.api.limits import address_key


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),  # how a listener on `::` sees IPv4
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "testclient", False),
    ],
)
def test_one_ipv6_customer_is_one_address(one: str, other: str, are_same: bool) -> None:
    assert (address_key(one) == address_key(other)) is are_same
