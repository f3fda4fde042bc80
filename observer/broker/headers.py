"""The headers of a delivery that we read, and which of them to believe.

A user can set any header of type string (an MQTT 5 property), none of type integer: so the integers are ours or the
broker's, and a client id counts only beside one (docs/facts.md, "Headers of a delivery").
"""

from collections.abc import Mapping
from typing import TypeAlias

from observer.broker.wire import HeaderValue

Headers: TypeAlias = Mapping[bytes, HeaderValue]

OF_A_SHARD = frozenset(
    {
        b"timestamp_in_ms",
        b"x-delivery-count",
        b"x-opt-mqtt-client-id",
        b"x-observer-attempt",
        b"x-observer-id",
        b"x-observer-time-ms",
        b"x-observer-replay",
    }
)
OF_THE_DEAD = OF_A_SHARD | {b"x-death", b"x-observer-reason", b"x-observer-routing-key"}

MAX_CLIENT_ID = 256
"""Characters, more than any that we issue has. MQTT allows 65,535 bytes, too many for a header of a retry: it must fit
into one frame."""


def number(headers: Headers, name: bytes) -> int | None:
    """The header if it is an integer."""
    value = headers.get(name)
    return value if isinstance(value, int) else None


def received_ms(headers: Headers) -> int | None:
    """When the broker got the message from its sender: the first stamp, for it stamps each copy of ours anew."""
    first_ms = number(headers, b"x-observer-time-ms")
    return first_ms if first_ms is not None else number(headers, b"timestamp_in_ms")


def client_id(headers: Headers) -> str | None:
    """The sender's MQTT client id, as the broker stamped it; of a longer one the beginning.

    What is given back as a header of a retry is read as the same again: a message id may be made of it.
    """
    value = headers.get(b"x-opt-mqtt-client-id")
    if not isinstance(value, bytes) or received_ms(headers) is None:
        return None
    return value.decode(errors="backslashreplace")[:MAX_CLIENT_ID]


def message_id(headers: Headers) -> str | None:
    """The id that the message had when we parked it."""
    value = headers.get(b"x-observer-id")
    if not isinstance(value, bytes) or number(headers, b"x-observer-attempt") is None:
        return None
    return value.decode(errors="backslashreplace")
