"""A server that speaks the MongoDB protocol, one for the whole test run; each test has a database of its own in it.

In this order: the server that `OBSERVER_TEST_MONGO_URL` names; a container where a Docker engine answers; a process
that is started and stopped here, `mongod` from PATH or the program that `OBSERVER_TEST_MONGO_SERVER` names, which must
know `start DIR PORT` and `stop DIR`.
"""

import gc
import os
import shutil
import subprocess
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory, TemporaryFile
from urllib.parse import urlsplit, urlunsplit

import pytest
from docker.errors import DockerException
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure

from tests.services.containers import MONGO_IMAGE, container, containers_wanted
from tests.services.missing import missing
from tests.services.ports import free_port

START_TIMEOUT_S = 60.0


@pytest.fixture(scope="session")
def mongo_server() -> Iterator[str]:
    """URI of a running server, without a database."""
    given = os.environ.get("OBSERVER_TEST_MONGO_URL")
    program = os.environ.get("OBSERVER_TEST_MONGO_SERVER")
    if given:
        yield given
    elif containers_wanted():
        with _contained() as uri:
            yield uri
    elif program:
        with _started_by(program) as uri:
            yield uri
    elif mongod := shutil.which("mongod"):
        with _mongod(mongod) as uri:
            yield uri
    else:
        missing("mongo", "no MongoDB: set OBSERVER_TEST_MONGO_URL, start a Docker engine or put mongod on PATH")


@pytest.fixture
def pymongo_may_leave_sockets() -> Iterator[None]:
    """Collects, without a word, the sockets that PyMongo leaves open to the garbage collector.

    A client that is closed while one of its monitors is connecting cancels it, and PyMongo 4.20 closes the half-made
    socket on an OSError only. Without this, the warning would fail whatever test runs when the collector does.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def mongo_url(mongo_server: str, pymongo_may_leave_sockets: None) -> Iterator[str]:
    """URI of an empty database of the test's own, which is dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    yield database_uri(mongo_server, name)
    with MongoClient[dict[str, object]](mongo_server) as client:
        client.drop_database(name)


def database_uri(server: str, name: str) -> str:
    """`server` with the database `name` in its path; a user logs in at `admin`, unless the URI says where."""
    parts = urlsplit(server)
    query = parts.query
    if "@" in parts.netloc and "authSource=" not in query:
        query = f"{query}&authSource=admin" if query else "authSource=admin"
    return urlunsplit((parts.scheme, parts.netloc, f"/{name}", query, ""))


@contextmanager
def _contained() -> Iterator[str]:
    port = free_port()
    mongo = container(MONGO_IMAGE, {27017: port})
    try:
        try:
            mongo.start()
        except DockerException as error:
            missing("mongo", f"the Docker engine could not start {MONGO_IMAGE}: {error}")
        yield _answering(port)
    finally:
        mongo.stop()


@contextmanager
def _started_by(program: str) -> Iterator[str]:
    port = free_port()
    # Not below pytest's own folder: the server may run as another user, who cannot go through that one.
    with TemporaryDirectory(prefix="observer-mongo-", ignore_cleanup_errors=True) as folder:
        # Output goes to a file: a pipe would stay open for as long as the server that the program leaves behind.
        with TemporaryFile() as log:
            subprocess.run([program, "start", folder, str(port)], check=True, stdout=log, stderr=log)
        try:
            yield _answering(port)
        finally:
            subprocess.run([program, "stop", folder], check=True)


@contextmanager
def _mongod(mongod: str) -> Iterator[str]:
    port = free_port()
    with TemporaryDirectory(prefix="observer-mongo-", ignore_cleanup_errors=True) as folder:
        command = [mongod, "--dbpath", folder, "--port", str(port), "--bind_ip", "127.0.0.1", "--quiet"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield _answering(port)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _answering(port: int) -> str:
    """The URI of the server at `port` of 127.0.0.1, once it answers; fails the test after START_TIMEOUT_S."""
    uri = f"mongodb://127.0.0.1:{port}/"
    deadline = time.monotonic() + START_TIMEOUT_S
    with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=1000) as client:
        while True:
            try:
                client.admin.command("ping")
            except ConnectionFailure as error:
                if time.monotonic() > deadline:
                    pytest.fail(f"no answer from {uri} within {START_TIMEOUT_S:.0f} s: {error}", pytrace=False)
            else:
                return uri
