"""Whom the HTTP API limits, and how much: one caller, and one client address."""

from ipaddress import IPv6Address, ip_address

MAX_KEYS = 10_000
"""Buckets kept, of callers and of addresses each."""
ADDRESS_FACTOR = 10
"""An address may come this many times as often as one caller: many users may stand behind one gateway."""


def address_key(host: str) -> str:
    """What counts as one client address: an IPv4 address, or the /64 that one IPv6 customer is given."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or f"{int(address) >> 64:x}::/64")
    return host
