"""Options that take the address of a service: a wrong one is told before anything is done."""

from urllib.parse import urlsplit

import click


def mqtt_url(value: str) -> str:
    """The type of an option for an MQTT broker. Raises BadParameter."""
    return _checked(value, ("mqtt",))


def api_url(value: str) -> str:
    """The type of an option for an HTTP API. Raises BadParameter."""
    return _checked(value, ("http", "https"))


def _checked(value: str, schemes: tuple[str, ...]) -> str:
    if not _is_right(value, schemes):
        forms = " or ".join(f"{scheme}://host:port" for scheme in schemes)
        raise click.BadParameter(f"{value!r} is not of the form {forms}")
    return value


def _is_right(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        url = urlsplit(value)
        return url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, or too large
        return False
