"""Logs: one stream of structured events on standard error, ours and the libraries', without anything secret."""

import json
import logging
import subprocess
import sys
import warnings
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from observer.logs import FOREIGN_EVENT, configure_logging

pytestmark = pytest.mark.usefixtures("restored_logging")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == "", "standard output belongs to what a command prints"
    return [json.loads(line) for line in captured.err.splitlines()]


def test_an_event_is_one_line_of_json_with_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")

    structlog.get_logger().info("store_opened", shard=3)

    (line,) = lines(capsys)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert (line["level"], line["event"], line["shard"]) == ("info", "store_opened", 3)
    assert line["timestamp"].endswith("Z")
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() is not None


def test_where_standard_error_is_no_terminal_auto_means_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "auto")
    structlog.get_logger().info("store_opened")
    assert lines(capsys)[0]["event"] == "store_opened"


def test_pretty_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "pretty")
    structlog.get_logger().info("store_opened", token="hunter2")
    shown = capsys.readouterr().err
    assert "store_opened" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("format", ["json", "pretty"])
def test_a_value_cannot_forge_a_line_of_its_own(capsys: pytest.CaptureFixture[str], format: Any) -> None:
    configure_logging("info", format)
    structlog.get_logger().info("message_refused", topic="a\nfake\x1b[2J")
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "\x1b[2J" not in shown


def test_nothing_below_the_level_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    log = structlog.get_logger()
    log.info("store_opened")
    log.warning("store_lost")
    assert [line["event"] for line in lines(capsys)] == ["store_lost"]


def test_debug_is_ours_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A library at debug level writes payloads."""
    configure_logging("debug", "json")
    structlog.get_logger().debug("batch_received")
    logging.getLogger("aiormq.connection").debug("frame with a body")
    assert [line["event"] for line in lines(capsys)] == ["batch_received"]


def test_bound_ids_are_on_every_line_of_ours_and_of_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with structlog.contextvars.bound_contextvars(shard=2, message_id="m1", sender="alice"):
        structlog.get_logger().info("message_refused")
        logging.getLogger("pymongo").warning("slow")
    for line in lines(capsys):
        assert (line["shard"], line["message_id"], line["sender"]) == (2, "m1", "alice")


@pytest.mark.parametrize("library", ["uvicorn.error", "aiormq.connection", "aio_pika", "pymongo.topology", "asyncio"])
def test_a_librarys_line_goes_the_same_way_under_one_event(capsys: pytest.CaptureFixture[str], library: str) -> None:
    configure_logging("info", "json")

    logging.getLogger(library).info("chatter")
    logging.getLogger(library).warning("lost %s", "amqps://observer:hunter2@h/")

    (line,) = lines(capsys)
    assert line["event"] == FOREIGN_EVENT
    assert line["logger"] == library
    assert line["message"] == "lost amqps://***@h/"


def test_a_warning_of_python_is_a_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert "DeprecationWarning: old" in lines(capsys)[0]["message"]


def test_an_exception_is_told_with_its_traceback_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    try:
        int("mongodb://user:hunter2@h/chat with eyJhbGciOiJ9.eyJzdWIiOiJ9.c2ln")
    except ValueError:
        structlog.get_logger().exception("batch_failed")

    (line,) = lines(capsys)
    assert "Traceback" in line["exception"]
    assert "mongodb://***@h/chat with ***" in line["exception"]


def test_secrets_and_bodies_are_masked_wherever_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("x", body={"text": "hunter2"}, nested={"password": "hunter2"}, url="a://u:hunter2@h")
    logging.getLogger("lib").error("password=hunter2")
    assert "hunter2" not in json.dumps(lines(capsys))


def test_a_full_disk_under_the_log_stops_nothing() -> None:
    """Losing a line must not lose a message."""
    program = (
        "import structlog; from observer.logs import configure_logging; configure_logging('info', 'json');"
        "structlog.get_logger().info('store_opened'); print('still here')"
    )
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False)
    assert ended.stdout == b"still here\n"
