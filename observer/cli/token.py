"""`observer token issue | explain | broker-keys | rotate`."""

import json
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TextIO

import click

from observer.cli.context import Context
from observer.errors import BrokerUnavailable, ConfigError, Refused
from observer.settings import PublicSettings, Settings
from observer.setup.broker_keys import hand_over_keys, is_told_of, telling_keys_expression
from observer.setup.set_up import chat21_key
from observer.setup.signing_keys import BrokerKey, as_broker_key
from observer.tokens.base import IssuedToken, Profile
from observer.tokens.explain import Explanation, explain
from observer.tokens.keys import KeyRing, read_ring
from observer.tokens.rotation import confirm_next, rotate_keys
from observer.tokens.wiring import build_issuer

MIN_TTL_S, MAX_TTL_S = 60, 86_400
_MAX_STDIN = 65_536


@click.group()
def token() -> None:
    """Issue, explain and rotate broker tokens.

    A token is the MQTT password of one user. It says what he may read and write, and until when.
    """


@token.command("issue", short_help="Print a token, and all that a client needs to connect.")
@click.option("--app", required=True, help="App id: 1 to 32 characters of A-Z a-z 0-9 _ -")
@click.option("--user", required=True, help="User id: 1 to 64 characters of A-Z a-z 0-9 _ -")
@click.option("--device", help="Device id, if this client has one. Left out, an unguessable one is made: better.")
@click.option(
    "--profile",
    type=click.Choice([profile.value for profile in Profile]),
    default=Profile.STANDARD.value,
    show_default=True,
    help="Kind of client; chat21 has to be switched on.",
)
@click.option(
    "--ttl",
    "ttl_s",
    type=click.IntRange(MIN_TTL_S, MAX_TTL_S),
    help="Seconds until it expires. [default: tokens.ttl_s, or tokens.chat21.ttl_s]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@click.pass_obj
def issue_command(
    context: Context, app: str, user: str, device: str | None, profile: str, ttl_s: int | None, as_json: bool
) -> None:
    """Print a token for USER of APP, with everything a client needs to connect.

    \b
    Example: observer token issue --app demo --user alice
    """
    settings = context.settings if ttl_s is None else with_ttl(context.settings, ttl_s)
    issued = build_issuer(settings).issue(app, user, device=device, profile=Profile(profile))
    click.echo(issued_json(issued, settings.public) if as_json else issued_text(issued, settings.public))


@token.command("explain", short_help="Say what a token allows, and until when.")
@click.argument("text", metavar="[TOKEN]", required=False)
@click.pass_obj
def explain_command(context: Context, text: str | None) -> None:
    """Say in plain words whom TOKEN is for, until when, and what it allows; warn about what is dangerous.

    Without TOKEN it is read from standard input, where no shell history and no list of processes shows it.
    The token itself is never printed.

    \b
    Example: observer token explain < token.txt
    """
    settings = context.settings
    if text is None and sys.stdin.isatty():
        click.echo("Paste the token, then press Enter and Ctrl-D:", err=True)
    given = text if text is not None else sys.stdin.read(_MAX_STDIN)
    explanation = explain(given.strip(), now=time.time(), ring=ring_if_any(settings), audience=settings.tokens.audience)
    click.echo(explanation_text(explanation))


@token.command("broker-keys", short_help="Print what makes a running broker trust our keys.")
@click.pass_obj
def broker_keys_command(context: Context) -> None:
    """Print the Erlang expression with which a running broker trusts every key that we have, and no others.

    For a broker whose rabbitmqctl this command cannot call, as with containers: pipe it into `rabbitmqctl eval`, and
    the answer, the ids of the keys that the broker has then, into `observer token rotate --broker-knows -`.
    With a shared key (HS256, chat21) what is printed holds a secret.
    """
    click.echo(telling_keys_expression(trusted_keys(context.settings)))


@token.command("rotate", short_help="Sign new tokens with the next key.")
@click.option(
    "--rabbitmqctl",
    metavar="COMMAND",
    help="How to run rabbitmqctl against the broker, if the broker shall be given the keys at once: "
    "`rabbitmqctl`, or `docker compose exec -T rabbitmq rabbitmqctl`.",
)
@click.option(
    "--broker-knows",
    "answer",
    type=click.File(errors="replace"),
    help="What the broker answered to `observer token broker-keys`; - for standard input. Without the next key in it "
    "nothing is done.",
)
@click.option("--broker-has-keys", is_flag=True, help="I ran `observer setup` and restarted the broker since.")
@click.pass_obj
def rotate_command(context: Context, rabbitmqctl: str | None, answer: TextIO | None, broker_has_keys: bool) -> None:
    """Sign new tokens with the next key, and make the key after that.

    The broker knows the next key already: tokens of the old and of the new key are good, no connection is dropped.
    A running observer notices within a second. What remains is to give the broker the key that was made:
    with --rabbitmqctl this command does it, else the broker gets it with `observer setup` and a restart, or by
    `observer token broker-keys`, whose help says how.
    Where the broker also has a shared key (HS256, chat21), --rabbitmqctl shows it to whoever lists processes meanwhile.
    """
    settings = context.settings
    folder, algorithm = settings.tokens.keys_dir, settings.tokens.algorithm
    if rabbitmqctl is not None:
        give_keys(settings, rabbitmqctl)
    elif answer is not None:
        check_answer(answer.read(_MAX_STDIN), read_ring(folder, algorithm).next.kid)
        confirm_next(folder)
    elif broker_has_keys:
        confirm_next(folder)
    ring = rotate_keys(folder, algorithm)
    click.echo(f"New tokens are signed with key {ring.current.kid}, which the broker knows already.")
    if ring.previous is not None:
        click.echo(f"Tokens of the key before, {ring.previous.kid}, are good until they expire.")
    if rabbitmqctl is None:
        click.echo(remaining_text(ring))
        return
    give_keys(settings, rabbitmqctl)
    click.echo(f"The broker was given the key after that, {ring.next.kid}.")
    click.echo("Run `observer setup` too, or the broker forgets it with its next restart.")


def give_keys(settings: Settings, rabbitmqctl: str) -> None:
    """Have the running broker trust every key that we have. Raises BrokerUnavailable."""
    hand_over_keys(trusted_keys(settings), lambda text: evaluate(rabbitmqctl, text))
    confirm_next(settings.tokens.keys_dir)


def trusted_keys(settings: Settings) -> list[BrokerKey]:
    """Every key that the broker shall check tokens with; the shared one first, if there is one."""
    tokens = settings.tokens
    shared = chat21_key(tokens)
    return [*([shared] if shared else []), *map(as_broker_key, read_ring(tokens.keys_dir, tokens.algorithm))]


def check_answer(answer: str, key_id: str) -> None:
    """Raise Refused unless the broker's answer names the key; it is not repeated, since it may hold anything."""
    if not is_told_of(key_id, answer):
        raise Refused(
            f"the broker did not answer that it knows the next key, {key_id}; nothing was rotated. Pipe what "
            "`observer token broker-keys` prints into `rabbitmqctl eval`, and what that prints into this command"
        )


def evaluate(rabbitmqctl: str, expression: str) -> str:
    """Evaluate Erlang on the broker's node. Raises BrokerUnavailable, without the expression: it may hold a key."""
    try:
        command = [*shlex.split(rabbitmqctl), "--quiet", "eval", expression]
        done = subprocess.run(  # noqa: S603 (the operator's own)
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except ValueError as error:
        raise ConfigError(f"--rabbitmqctl {rabbitmqctl!r} is no command: {error}") from error
    except OSError as error:
        raise BrokerUnavailable(f"{rabbitmqctl} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        first_line = (done.stderr.strip() or done.stdout.strip()).partition("\n")[0]  # below come general hints
        raise BrokerUnavailable(f"{rabbitmqctl} failed ({done.returncode}): {first_line[:200]}")
    return done.stdout


def remaining_text(ring: KeyRing) -> str:
    """What is left to do after a rotation that did not reach the broker."""
    return (
        f"Before the next rotation the broker must be given key {ring.next.kid}: run `observer setup` and restart the "
        "broker when it suits, or rotate with --rabbitmqctl or --broker-knows next time. Run `observer setup` in any "
        "case, or the broker forgets keys with its next restart."
    )


def with_ttl(settings: Settings, ttl_s: int) -> Settings:
    """The settings with this life of a token, whatever its profile."""
    chat21 = settings.tokens.chat21.model_copy(update={"ttl_s": ttl_s})
    tokens = settings.tokens.model_copy(update={"ttl_s": ttl_s, "chat21": chat21})
    return settings.model_copy(update={"tokens": tokens})


def ring_if_any(settings: Settings) -> KeyRing | None:
    """Our own keys, where there are any: a token can be explained without."""
    try:
        return read_ring(settings.tokens.keys_dir, settings.tokens.algorithm)
    except ConfigError:
        return None


def issued_json(issued: IssuedToken, public: PublicSettings) -> str:
    """One object whose keys never change."""
    return json.dumps(
        {
            "token": issued.token,
            "app": issued.app,
            "user": issued.user,
            "client_id": issued.client_id,
            "username": issued.username,
            "subscribe": issued.subscribe,
            "publish": issued.publish,
            "expires_at": issued.expires_at,
            "mqtt_url": public.mqtt_url,
            "websocket_url": public.websocket_url,
        }
    )


def issued_text(issued: IssuedToken, public: PublicSettings) -> str:
    """The same for a human."""
    expires = datetime.fromtimestamp(issued.expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    rows = (
        ("Connect to", f"{public.mqtt_url}  or  {public.websocket_url}"),
        ("Client id", issued.client_id),
        ("User name", issued.username),
        ("Subscribe to", issued.subscribe),
        ("Publish to", issued.publish),
        ("Expires", expires),
        ("Password", "the token, which is the next line:"),
    )
    return "\n".join([*(f"{name + ':':<14}{value}" for name, value in rows), issued.token])


def explanation_text(explanation: Explanation) -> str:
    """An explanation as paragraphs."""
    lines = ["This token is:", *(f"  - {fact}" for fact in explanation.facts)]
    lines += ["It allows:", *(f"  - {right}" for right in explanation.rights)]
    if explanation.warnings:
        lines += ["Warnings:", *(f"  ! {warning}" for warning in explanation.warnings)]
    return "\n".join(lines)
