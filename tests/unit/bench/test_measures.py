"""Percentiles, the schedule's beat, payload sizes, CPU time and the stored counter."""

import json
import os
import socket
import subprocess
import sys

import pytest

from observer.bench import packets
from observer.bench.cpu import cpu_seconds, listener_pid
from observer.bench.latency import Latency, summarize
from observer.bench.meter import stored_count
from observer.bench.pace import next_due
from observer.bench.routes import MIN_PAYLOAD_BYTES, RUN_LENGTH, streams, users
from observer.bench.tally import Step
from observer.metrics import Metrics


def test_percentiles_are_values_that_occurred() -> None:
    figures = summarize(value / 1000 for value in range(100, 0, -1))
    assert figures == Latency(count=100, mean_ms=50.5, p50_ms=50, p95_ms=95, p99_ms=99, max_ms=100)


def test_nothing_measured_is_all_zero() -> None:
    assert summarize([]) == Latency()


@pytest.mark.parametrize(("rate", "now_s", "expected"), [(10, 0.0, 1), (10, 0.5, 5), (4000, 0.010, 44), (10, 99, 99)])
def test_the_next_beat_is_a_millisecond_away_or_the_next_message(rate: float, now_s: float, expected: int) -> None:
    step = Step(run="run", first=0, rate=rate, count=100, streams=1, start_s=0.0)
    assert next_due(step, 0, now_s) == expected


def test_the_last_message_is_never_slept_over() -> None:
    step = Step(run="run", first=0, rate=100_000, count=10, streams=1, start_s=0.0)
    assert next_due(step, 0, 0.0) == 9


@pytest.mark.parametrize("size", [MIN_PAYLOAD_BYTES, 300, 5000])
def test_a_payload_has_the_size_asked_for(size: int) -> None:
    [stream] = streams("bench", 1, both_ways=False, payload_bytes=size, is_bare=False)
    payload = stream.payload("x" * RUN_LENGTH, 12)
    assert len(payload) == size
    assert json.loads(payload)["client_message_id"] == "xxxxxxxx-0000012"


def test_pairs_write_both_ways_each_to_his_own_partner() -> None:
    ways = streams("bench", 2, both_ways=True, payload_bytes=300, is_bare=False)
    names = users(2)
    spelt = [(names[way.sender], way.topics[0]) for way in ways]
    assert spelt == [
        (sender, packets.text(f"apps/bench/outgoing/users/{sender}/messages/{recipient}/outgoing".encode()))
        for sender, recipient in [
            ("bench-0-a", "bench-0-b"),
            ("bench-1-a", "bench-1-b"),
            ("bench-0-b", "bench-0-a"),
            ("bench-1-b", "bench-1-a"),
        ]
    ]


def test_without_an_observer_the_sender_writes_what_the_observer_would() -> None:
    [stream] = streams("bench", 1, both_ways=False, payload_bytes=300, is_bare=True)
    assert stream.topics == (
        packets.text(b"apps/bench/users/bench-0-b/messages/bench-0-a/clientadded"),
        packets.text(b"apps/bench/users/bench-0-a/messages/bench-0-b/clientadded"),
    )
    copy = json.loads(stream.payload("x" * RUN_LENGTH, 0))
    assert (copy["sender"], copy["recipient"], copy["app_id"]) == ("bench-0-a", "bench-0-b", "bench")


def test_the_listener_of_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listener_pid(server.getsockname()[1]) == os.getpid()


def test_a_port_without_a_listener_belongs_to_nobody() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert listener_pid(unheard.getsockname()[1]) is None


def test_the_cpu_time_of_children_counts_even_after_their_end() -> None:
    before = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", "import os\nwhile sum(os.times()[:2]) < 0.2: pass"], check=True)
    after = cpu_seconds(os.getpid())
    assert before is not None
    assert after is not None
    assert after - before > 0.1


def test_a_process_that_is_gone_has_no_cpu_time() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert cpu_seconds(child.pid) is None


def test_the_stored_counter_is_read_from_the_metrics_as_the_observer_writes_them() -> None:
    metrics = Metrics()
    metrics.count_messages("stored", 7)
    metrics.count_messages("refused", 3)
    assert stored_count(metrics.render().decode()) == 7
    assert stored_count("nothing of ours") is None
