"""`observer dead-letters`: what could not be processed, for an operator to list, read, replay and drop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import click

from observer import topics
from observer.app import broker_options
from observer.broker.dead_letters import DeadLetter, DeadLetters
from observer.cli.context import Context
from observer.errors import Refused
from observer.settings import BrokerSettings

Action = Callable[[DeadLetters, DeadLetter], Awaitable[None]]
_limit = click.option(
    "--limit",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="How many messages to look at, from the head of the queue.",
)
_COLUMNS = "{:<11} {:>7} {:>8} {:>5}  {:<16} {}"


@click.group("dead-letters")
def dead_letters() -> None:
    """Messages that could not be processed: list, show, replay and drop them.

    A message is parked after several tries that failed for no reason of the services', or when its mere delivery
    breaks the connection. Nothing else happens to it: it waits for you.
    """


@dead_letters.command("list")
@_limit
@click.pass_obj
def list_(context: Context, *, limit: int) -> None:
    """List the dead letters, without changing anything."""
    letters, count = asyncio.run(_read(context.settings.broker, limit))
    if letters:
        click.echo(_COLUMNS.format("ID", "AGE", "BYTES", "TRIES", "REASON", "TOPIC"))
    for letter in letters:
        click.echo(_row(letter, now_ms=time.time() * 1000))
    click.echo(f"dead letters: {count}" + (f", listed: {len(letters)}" if len(letters) < count else ""), err=True)


@dead_letters.command()
@click.argument("id")
@click.option("--body", "has_body", is_flag=True, help="Show the payload too: it is somebody's private message.")
@_limit
@click.pass_obj
def show(context: Context, id: str, *, has_body: bool, limit: int) -> None:
    """Show what is known about one dead letter."""
    letters, _ = asyncio.run(_read(context.settings.broker, limit))
    [letter, *_others] = _chosen(letters, (id,), is_all=False)
    click.echo(_details(letter))
    if has_body:
        click.echo()
        click.echo(_printable(letter.body.decode(errors="backslashreplace")))


@dead_letters.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every one that can be replayed.")
@_limit
@click.pass_obj
def replay(context: Context, ids: tuple[str, ...], *, is_all: bool, limit: int) -> None:
    """Send dead letters on their way again, as if just published.

    A message leaves the dead letters only when the broker has it back in its shard. One that had been stored after all
    is not stored again. Mend the cause first, or it comes back here.
    """
    _check_choice(ids, is_all=is_all)
    asyncio.run(_act(context.settings.broker, ids, DeadLetters.replay, "replayed", is_all=is_all, limit=limit))


@dead_letters.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every one.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_limit
@click.pass_obj
def drop(context: Context, ids: tuple[str, ...], *, is_all: bool, yes: bool, limit: int) -> None:
    """Throw dead letters away for good."""
    _check_choice(ids, is_all=is_all)
    what = "all dead letters" if is_all else " ".join(ids)
    if not yes:
        click.confirm(f"Throw {what} away? They cannot be brought back.", abort=True)
    asyncio.run(_act(context.settings.broker, ids, DeadLetters.drop, "dropped", is_all=is_all, limit=limit))


async def _read(settings: BrokerSettings, limit: int) -> tuple[Sequence[DeadLetter], int]:
    async with DeadLetters(broker_options(settings)) as queue:
        return await queue.read(limit)


async def _act(
    settings: BrokerSettings, ids: Sequence[str], action: Action, done: str, *, is_all: bool, limit: int
) -> None:
    """Do `action` to each chosen one; those that refuse are told and stay. Raises Refused if any did."""
    refused = 0
    async with DeadLetters(broker_options(settings)) as queue:
        letters, _ = await queue.read(limit)
        for letter in _chosen(letters, ids, is_all=is_all):
            try:
                await action(queue, letter)
            except Refused as error:
                refused += 1
                click.echo(str(error), err=True)
            else:
                click.echo(f"{letter.id} {done}")
    if refused:
        raise Refused(f"dead letters that stay where they are: {refused}")


def _check_choice(ids: Sequence[str], *, is_all: bool) -> None:
    if bool(ids) == is_all:
        raise click.UsageError("name the ids that `observer dead-letters list` shows, or --all, and not both")


def _chosen(letters: Sequence[DeadLetter], ids: Sequence[str], *, is_all: bool) -> Sequence[DeadLetter]:
    if is_all:
        return letters
    if unknown := set(ids) - {letter.id for letter in letters}:
        raise Refused(f"no dead letter {', '.join(sorted(unknown))} among the {len(letters)} looked at")
    return [letter for letter in letters if letter.id in ids]


def _row(letter: DeadLetter, *, now_ms: float) -> str:
    tries = "-" if letter.attempt is None else str(letter.attempt)
    age = "-" if letter.dead_since_ms is None else _age((now_ms - letter.dead_since_ms) / 1000)
    return _COLUMNS.format(letter.id, age, len(letter.body), tries, letter.reason[:60], _topic(letter)[:100])


def _details(letter: DeadLetter) -> str:
    rows = (
        ("id", letter.id),
        ("topic", _topic(letter)),
        ("reason", letter.reason),
        ("tries", "none: no observer got hold of it" if letter.attempt is None else letter.attempt),
        ("queue", letter.came_from or "unknown"),
        ("dead since", _time(letter.dead_since_ms)),
        ("received", _time(letter.received_ms)),
        ("client id", _printable(letter.client_id or "unknown")),
        ("bytes", len(letter.body)),
        ("replay", letter.why_not_replayable or "possible"),
    )
    return "\n".join(f"{name:<11} {value}" for name, value in rows)


def _topic(letter: DeadLetter) -> str:
    """The topic, printable: a user chose it."""
    return ascii(topics.mqtt(letter.routing_key))[1:-1] if letter.routing_key else "unknown"


def _printable(text: str) -> str:
    """`text` with escapes for what could steer the terminal: a user chose it."""
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)


def _time(time_ms: int | None) -> str:
    return "unknown" if time_ms is None else time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_ms / 1000))


def _age(seconds: float) -> str:
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    return next((f"{int(seconds // size)} {unit}" for unit, size in units if seconds >= size), "0 s")
