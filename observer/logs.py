"""Logs: structlog to standard error, JSON or pretty, with what is secret or private taken out on the way.

Modules log with `structlog.get_logger()`: an event of the table in docs/operations.md ("Log events"), ids as keywords.
Bound with `structlog.contextvars`: `shard` in a shard's loop, `request_id` in an HTTP request. `observer run` calls
`configure_logging`.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from observer.redaction import mask_value

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "pretty"]

OWN_LOGGER = "observer"
FOREIGN_EVENT = "library_message"
_OWN_KEYS = ("timestamp", "level", "event")


def configure_logging(level: LogLevel = "info", format: LogFormat = "auto") -> None:
    """Send our own logs from `level` on, and the libraries' from WARNING on, to standard error.

    `auto` is pretty where standard error is a terminal and JSON elsewhere.
    """
    is_pretty = format == "pretty" or (format == "auto" and sys.stderr.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_first_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_own_logger,
        cache_logger_on_first_use=False,
    )
    _route_standard_logging(_formatter(is_pretty), number)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Mask what stands under a private key, and what looks like a token, a key or a password in any other value."""
    return {key: value if key in _OWN_KEYS else mask_value(key, value) for key, value in event.items()}


def _own_keys_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {**{key: event[key] for key in _OWN_KEYS}, **event}


def _own_logger(*_: object) -> logging.Logger:
    return logging.getLogger(OWN_LOGGER)


def _first_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _name_foreign_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A library's free text becomes a value, so that our vocabulary of events stays closed."""
    event["message"] = event["event"]
    event["event"] = FOREIGN_EVENT
    event["logger"] = event["_record"].name
    return event


def _formatter(is_pretty: bool) -> logging.Formatter:
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if is_pretty
        else structlog.processors.JSONRenderer()
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_first_processors(), _name_foreign_event],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,  # before redaction: an exception's text may hold a password
            redact,
            _own_keys_first,
            renderer,
        ],
    )


def _route_standard_logging(formatter: logging.Formatter, own_level: int) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OWN_LOGGER).setLevel(own_level)
    logging.captureWarnings(True)
