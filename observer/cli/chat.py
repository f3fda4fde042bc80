"""`observer chat`: a small chat in the terminal, to see the whole way of a message."""

import signal
import time
from types import FrameType

import click

from observer import topics
from observer.chat.access import Access, api_access, local_access
from observer.chat.connection import Connection
from observer.chat.screen import Screen
from observer.chat.talk import Talk
from observer.cli import address
from observer.cli.context import Context
from observer.errors import BrokerUnavailable, Refused
from observer.settings import Settings
from observer.tokens.issue import random_device
from observer.tokens.wiring import build_issuer


class _TimeIsUp(Exception):
    """--seconds have passed."""


@click.command()
@click.option("--user", required=True, help="Who you are.")
@click.option("--to", "peer", required=True, help="Whom you write to.")
@click.option("--app", default="demo", show_default=True, help="App id; with an API key it is the key's app.")
@click.option("--history", default=20, show_default=True, type=click.IntRange(0, 200), help="Earlier messages to show.")
@click.option("--seconds", type=click.FloatRange(0), help="Stay for so long, also after the end of the input.")
@click.option(
    "--wait",
    "wait_s",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait at the end for what was sent to be accepted.",
)
@click.option(
    "--mqtt-url",
    type=address.mqtt_url,
    envvar="INBOX_MQTT_URL",
    show_envvar=True,
    help="Where the broker is.  [default: public.mqtt_url]",
)
@click.option(
    "--api-url",
    type=address.api_url,
    envvar="INBOX_API_URL",
    show_envvar=True,
    help="Where the HTTP API is.  [default: public.api_url]",
)
@click.option(
    "--api-key",
    envvar="INBOX_API_KEY",
    show_envvar=True,
    help="Get the token from the API with this key. Without it the token is made here, with the observer's own key.",
)
@click.pass_obj
def chat(
    context: Context,
    *,
    user: str,
    peer: str,
    app: str,
    history: int,
    seconds: float | None,
    wait_s: float,
    mqtt_url: str | None,
    api_url: str | None,
    api_key: str | None,
) -> None:
    """Chat in the terminal: what you type is sent, what comes in is shown.

    A message of yours shows up, with ✓, when it is accepted. Ctrl-D or Ctrl-C ends the chat.
    Piped input is sent line by line; the command ends when all of it is accepted, with status 1 if any was refused.

    \b
    observer chat --user alice --to bob
    echo Hello | observer chat --user alice --to bob
    observer chat --user bob --to alice --seconds 60 </dev/null
    """
    for option, name in (("--user", user), ("--to", peer)):
        if not topics.is_id(name):
            raise click.BadParameter(f"{name!r} is not 1 to 64 characters of A-Z a-z 0-9 _ -", param_hint=option)
    settings, screen, talk = context.settings, Screen(), Talk(user, peer)
    api_url = (api_url or settings.public.api_url).rstrip("/")
    access = _access(settings, app, user, api_url=api_url, api_key=api_key, mqtt_url=mqtt_url)
    with Connection(access, talk, screen, api_url=api_url, history_count=history) as connection:
        if screen.is_interactive:
            screen.note(f"you are {user}, talking to {peer}; Ctrl-D ends")
        _converse(connection, screen, seconds)
        is_accepted = connection.wait_until_accepted(wait_s)
    if not is_accepted:
        raise BrokerUnavailable(
            f"messages not accepted within {wait_s:g} s: {len(talk.pending)}. `observer doctor` looks for the reason"
        )
    if talk.refused and not screen.is_interactive:
        raise Refused(f"messages refused: {talk.refused}")


def _converse(connection: Connection, screen: Screen, seconds: float | None) -> None:
    """Send every line; end with the input, or with the time if there is one, or with Ctrl-C."""
    until_s = None if seconds is None else time.monotonic() + seconds
    previous = signal.signal(signal.SIGALRM, _end)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001) if seconds is not None else 0)
        for line in screen.lines():
            connection.send(line)
        if until_s is not None:
            time.sleep(max(0.0, until_s - time.monotonic()))
    except (_TimeIsUp, KeyboardInterrupt):
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _end(_: int, __: FrameType | None) -> None:
    raise _TimeIsUp


def _access(
    settings: Settings, app: str, user: str, *, api_url: str, api_key: str | None, mqtt_url: str | None
) -> Access:
    device = random_device()
    if api_key:
        return api_access(api_url, api_key, user, device, mqtt_url)
    return local_access(build_issuer(settings), app, user, device, mqtt_url or settings.public.mqtt_url)
