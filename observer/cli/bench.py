"""`observer bench`: measures a running observer with real MQTT clients."""

import gc
import ipaddress
import json
import socket
from urllib.parse import urlsplit

import click
import uvloop

from observer.bench.cpu import listener_pid
from observer.bench.load import LoadOptions
from observer.bench.meter import Meter
from observer.bench.ramp import HIGHEST_RATE
from observer.bench.report import Report, advice, as_text
from observer.bench.routes import MIN_PAYLOAD_BYTES
from observer.bench.run import BenchOptions, best, find_maximum, measure
from observer.cli import address
from observer.cli.context import Context
from observer.settings import Settings

MAX_MESSAGES = 2_000_000
_QOS = click.IntRange(0, 1)


@click.command()
@click.option("--pairs", default=200, show_default=True, type=click.IntRange(1, 5000), help="Pairs of users.")
@click.option(
    "--rate",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0.1, HIGHEST_RATE),
    help="Messages a second, all pairs together. With --max: where the search begins.",
)
@click.option("--seconds", default=10.0, show_default=True, type=click.FloatRange(0.5, 600), help="Length of a step.")
@click.option(
    "--warmup",
    "warmup_s",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0, 60),
    help="Seconds of load before, not counted.",
)
@click.option("--max", "is_maximum", is_flag=True, help="Find the highest rate that is sustained, step by step.")
@click.option(
    "--p99-limit-ms",
    default=1000.0,
    show_default=True,
    type=click.FloatRange(1),
    help="With --max: a step with a higher delivery p99 is not sustained.",
)
@click.option(
    "--inbox-qos",
    default=0,
    show_default=True,
    type=_QOS,
    help="QoS of the inbox subscriptions. 1 costs the broker 2 to 10 times as much.",
)
@click.option("--publish-qos", default=1, show_default=True, type=_QOS, help="QoS of the messages sent.")
@click.option(
    "--payload-bytes",
    default=300,
    show_default=True,
    type=click.IntRange(MIN_PAYLOAD_BYTES, 60_000),
    help="Size of a message.",
)
@click.option("--one-way", is_flag=True, help="In each pair the same side always writes.")
@click.option(
    "--bare",
    "is_bare",
    is_flag=True,
    help="The broker alone, without the observer: the senders write into the inboxes. The physical limit.",
)
@click.option(
    "--drain",
    "drain_s",
    default=10.0,
    show_default=True,
    type=click.FloatRange(1, 120),
    help="Seconds without any news after which what is still missing counts as lost.",
)
@click.option("--app", default="bench", show_default=True, help="App id of the users.")
@click.option("--mqtt-url", type=address.mqtt_url, help="MQTT endpoint.  [default: public.mqtt_url]")
@click.option(
    "--api-url",
    "api_urls",
    type=address.api_url,
    multiple=True,
    help="HTTP API of each observer.  [default: public.api_url]",
)
@click.option(
    "--observer-pid", "observer_pids", multiple=True, type=int, help="Processes whose CPU time is the observer's."
)
@click.option("--broker-pid", "broker_pids", multiple=True, type=int, help="Processes whose CPU time is the broker's.")
@click.option("--allow-remote", is_flag=True, help="Allow a broker that is not on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.pass_obj
def bench(
    context: Context,
    *,
    pairs: int,
    rate: float,
    seconds: float,
    warmup_s: float,
    is_maximum: bool,
    p99_limit_ms: float,
    inbox_qos: int,
    publish_qos: int,
    payload_bytes: int,
    one_way: bool,
    is_bare: bool,
    drain_s: float,
    app: str,
    mqtt_url: str | None,
    api_urls: tuple[str, ...],
    observer_pids: tuple[int, ...],
    broker_pids: tuple[int, ...],
    allow_remote: bool,
    as_json: bool,
) -> None:
    """Measure a running observer with direct messages between real MQTT clients.

    Messages are sent on a fixed schedule, whether the system keeps up or not, and latency counts from the planned
    time. Every message is followed: acknowledged, stored, delivered, lost, repeated, out of order. The tokens are
    made here, with the observer's signing key. The processes are found by the ports they listen on.

    The observer's rate limit must be higher than the load: a pair sends RATE / PAIRS messages a second.

    \b
    observer bench --rate 60              latency of a quiet system
    observer bench --max --rate 1000      the highest rate sustained
    observer bench --max --bare           what the broker alone could do

    Exit status 1: an acknowledged message was lost, or no rate was sustained.
    """
    settings = context.settings
    host, port = _broker_address(mqtt_url or settings.public.mqtt_url, allow_remote=allow_remote)
    _check_size(rate, seconds, warmup_s)
    options = BenchOptions(
        app=app,
        pairs=pairs,
        both_ways=not one_way,
        payload_bytes=payload_bytes,
        is_bare=is_bare,
        rate=rate,
        seconds=seconds,
        warmup_s=warmup_s,
        load=LoadOptions(host, port, inbox_qos=inbox_qos, publish_qos=publish_qos, drain_s=drain_s),
    )
    meter = _meter(() if is_bare else api_urls or (settings.public.api_url,), observer_pids, broker_pids, port)
    gc.disable()  # a collection would stop the load for as long as a message takes; nothing here makes cyclic garbage
    reports, chosen = uvloop.run(_run(options, p99_limit_ms if is_maximum else None, settings, meter))
    _show(reports, chosen, as_json=as_json)
    if chosen is None or any(one.counts.lost or one.counts.own_copies_lost for one in reports):
        raise SystemExit(1)


async def _run(
    options: BenchOptions, p99_limit_ms: float | None, settings: Settings, meter: Meter
) -> tuple[list[Report], Report | None]:
    """All steps, and the one whose figures count. With a limit: a search for the maximum."""
    if p99_limit_ms is None:
        only = await measure(options, settings, meter, _progress)
        return [only], only
    tried = await find_maximum(options, p99_limit_ms, settings, meter, _progress)
    return tried, best(tried, p99_limit_ms)


def _show(reports: list[Report], chosen: Report | None, *, as_json: bool) -> None:
    if as_json:
        steps = [one.as_json() for one in reports]
        click.echo(json.dumps({"result": chosen.as_json() if chosen else None, "steps": steps}, indent=2))
    elif chosen is None:
        click.echo("No rate was sustained. The last step:\n" + as_text(reports[-1]))
    else:
        click.echo(as_text(chosen))
    for sentence in advice(chosen or reports[-1]):
        click.echo(sentence, err=True)


def _meter(
    api_urls: tuple[str, ...], observer_pids: tuple[int, ...], broker_pids: tuple[int, ...], mqtt_port: int
) -> Meter:
    """Where the figures come from; processes that were not named are looked for."""
    found = (listener_pid(urlsplit(url).port or 80) for url in api_urls)
    return Meter(
        observer_pids=observer_pids or tuple(pid for pid in found if pid is not None),
        broker_pids=broker_pids or tuple(pid for pid in [listener_pid(mqtt_port)] if pid is not None),
        metrics_urls=[f"{url.rstrip('/')}/metrics" for url in api_urls],
    )


def _broker_address(mqtt_url: str, *, allow_remote: bool) -> tuple[str, int]:
    url = urlsplit(mqtt_url)
    if url.scheme != "mqtt" or not url.hostname:
        raise click.UsageError(f"--mqtt-url {mqtt_url!r} is not of the form mqtt://host:port")
    host, port = url.hostname, url.port or 1883
    if not allow_remote and not _is_loopback(host):
        raise click.UsageError(f"{host} is not this machine: --allow-remote if you may put load on it")
    return host, port


def _is_loopback(host: str) -> bool:
    try:
        addresses = {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise click.UsageError(f"cannot find the address of {host}: {error}") from error
    return all(ipaddress.ip_address(address).is_loopback for address in addresses)


def _check_size(rate: float, seconds: float, warmup_s: float) -> None:
    planned = rate * max(seconds, warmup_s)
    if planned > MAX_MESSAGES:
        raise click.UsageError(f"{planned:.0f} messages in one step; at most {MAX_MESSAGES} can be followed")


def _progress(text: str) -> None:
    click.echo(text, err=True)
