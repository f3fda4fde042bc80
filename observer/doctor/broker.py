"""The broker: reachable, new enough, closed to tokens over AMQP, and set up for as many shards as we read."""

from collections.abc import AsyncIterator, Iterator

from observer.broker import names
from observer.broker.connect import BrokerOptions
from observer.broker.inspection import Greeting, Topology, find_topology, greet
from observer.doctor.finding import Finding, failed, ok, warning
from observer.errors import ConfigError, ObserverError
from observer.setup.broker_files import SUPPORTED, is_supported

EXCHANGES = (
    names.TOPIC_EXCHANGE,
    names.OUT_EXCHANGE,
    names.SHARD_EXCHANGE,
    names.DEAD_EXCHANGE,
    names.MEMBER_EXCHANGE,
    *(names.retry_queue(delay_s) for delay_s in names.RETRY_DELAYS_S),
)
_SETUP = "run `observer setup`, then restart RabbitMQ, which reads its definitions at its start"


async def check_broker(options: BrokerOptions, shards: int) -> AsyncIterator[Finding]:
    """From the outside in; what cannot be reached is not looked at further."""
    try:
        greeting = await greet(options)
        yield ok("broker", f"RabbitMQ answers at {options.host}:{options.port} over TLS")
        for finding in judge_greeting(greeting):
            yield finding
        queues = [names.shard_queue(shard) for shard in range(shards + 1)]
        queues += [names.DEAD_QUEUE, *(names.retry_queue(delay_s) for delay_s in names.RETRY_DELAYS_S)]
        topology = await find_topology(options, EXCHANGES, queues)
    except ConfigError as error:
        yield failed("broker", str(error), "see the findings about certificates above")
        return
    except ObserverError as error:
        yield failed("broker", str(error), "start RabbitMQ, or correct broker.host, broker.port and the certificates")
        return
    yield ok("broker log-in", "RabbitMQ takes our certificate")
    for finding in judge_topology(topology, shards):
        yield finding


def judge_greeting(greeting: Greeting) -> Iterator[Finding]:
    """Whether the broker is new enough, and closed to tokens and passwords over AMQP. Pure."""
    yield _version(greeting.version)
    yield _mechanisms(set(greeting.mechanisms))


def _version(text: str) -> Finding:
    check = "broker version"
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
    if not is_supported(numbers):
        return failed(check, f"RabbitMQ {text or 'of unknown version'} is not supported", f"upgrade to {SUPPORTED}")
    return ok(check, f"RabbitMQ {text}")


def _mechanisms(offered: set[str]) -> Finding:
    check = "broker access"
    if offered != {"EXTERNAL"}:
        return failed(
            check,
            f"AMQP log-in by {', '.join(sorted(offered))}: with a token over AMQP any user could forge messages",
            "set `auth_mechanisms.1 = EXTERNAL` alone in rabbitmq.conf, as rabbitmq/rabbitmq.conf does",
        )
    return ok(check, "AMQP takes client certificates only")


def judge_topology(topology: Topology, shards: int) -> Iterator[Finding]:
    """What the exchanges and queues that were found mean. Pure."""
    missing = [f"exchange {name}" for name in topology.missing_exchanges]
    beyond = names.shard_queue(shards)
    missing += [f"queue {name}" for name, state in topology.queues.items() if state is None and name != beyond]
    if missing:
        yield failed("topology", f"not there: {', '.join(missing)}", _SETUP)
    elif topology.queues[beyond] is not None:
        yield failed(
            "topology",
            f"the broker has more shards than broker.shards = {shards}: what goes to {beyond} is read by nobody",
            "set broker.shards to the number that the broker was set up with",
        )
    else:
        yield ok("topology", f"every exchange and queue is there, for {shards} shards")
    yield from _judge_dead_letters(topology)
    yield from _judge_consumers(topology, shards)


def _judge_dead_letters(topology: Topology) -> Iterator[Finding]:
    dead = topology.queues.get(names.DEAD_QUEUE)
    if dead is not None and dead.messages:
        text = f"messages that could not be processed: {dead.messages}"
        yield warning("dead letters", text, "look with `observer dead-letters list`")
    elif dead is not None:
        yield ok("dead letters", "none")


def _judge_consumers(topology: Topology, shards: int) -> Iterator[Finding]:
    states = [topology.queues.get(names.shard_queue(shard)) for shard in range(shards)]
    found = [state for state in states if state is not None]
    waiting, idle = sum(state.messages for state in found), sum(state.consumers == 0 for state in found)
    if idle:
        text = f"{idle} of {len(found)} shards are read by nobody, and {waiting} messages wait"
        yield warning("shards", text, "start the observer: `observer run` with the same --config")
    elif found:
        yield ok("shards", f"all are read, and {waiting} messages wait or are in hand")
