"""The logging of this process, for tests that change it."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from observer.logs import OWN_LOGGER


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """What `configure_logging` changes is the process's; the next test gets it back as it was."""
    root, own = logging.getLogger(), logging.getLogger(OWN_LOGGER)
    handlers, level, own_level = root.handlers, root.level, own.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    own.setLevel(own_level)
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
