"""Doctor, endpoints: real sockets on loopback that answer rightly, wrongly, or not at all."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from observer.doctor.endpoints import check_api, check_mqtt, check_websocket
from observer.doctor.finding import Level
from observer.settings import ApiSettings

NO_CA = Path("/nonexistent")


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A server on loopback that reads once, says an answer and hangs up, for each of `answers`; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("answers", "level", "words"),
    [
        ((b"\x20\x02\x00\x05", b"\x20\x02\x00\x05"), Level.OK, "turns away"),
        ((b"\x20\x02\x00\x00",), Level.FAILED, "allow_anonymous"),
        ((b"\x20\x02\x00\x05", b"\x20\x02\x00\x00"), Level.FAILED, "delete_user guest"),
        ((b"HTTP/1.1 400",), Level.FAILED, "does not speak MQTT"),
        ((b"",), Level.FAILED, "does not speak MQTT"),
    ],
    ids=["refused", "anonymous let in", "guest let in", "a web server", "hangs up"],
)
async def test_mqtt_must_answer_and_turn_away_who_brings_no_token(
    answers: tuple[bytes, ...], level: Level, words: str
) -> None:
    with answering(*answers) as port:
        finding = await check_mqtt(f"mqtt://127.0.0.1:{port}", NO_CA)
    assert finding.level is level
    assert words in finding.text + finding.remedy


@pytest.mark.parametrize(
    ("answer", "level"),
    [(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Level.OK), (b"HTTP/1.1 404 Not Found\r\n\r\n", Level.FAILED)],
    ids=["upgrade", "another web server"],
)
async def test_websocket_must_be_upgraded(answer: bytes, level: Level) -> None:
    with answering(answer) as port:
        assert (await check_websocket(f"ws://127.0.0.1:{port}/ws", NO_CA)).level is level


async def test_what_cannot_be_reached_from_here_is_a_warning(closed_port: int) -> None:
    """A public name may be good for clients and not for this machine."""
    mqtt = await check_mqtt(f"mqtt://127.0.0.1:{closed_port}", NO_CA)
    websocket = await check_websocket(f"ws://127.0.0.1:{closed_port}/ws", NO_CA)
    assert (mqtt.level, websocket.level) == (Level.WARNING, Level.WARNING)
    assert str(closed_port) in mqtt.text


async def test_a_listener_without_tls_behind_a_tls_address_is_found() -> None:
    with answering(b"\x20\x02\x00\x05") as port:
        assert (await check_mqtt(f"mqtts://127.0.0.1:{port}", NO_CA)).level is Level.WARNING


@contextmanager
def serving(status: int, body: object) -> Iterator[int]:
    """An HTTP server on loopback with one answer for everything; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body", "level", "is_running"),
    [
        (200, {"status": "ready"}, Level.OK, True),
        (503, {"reasons": ["the store does not answer"]}, Level.FAILED, True),
        (404, {"detail": "Not Found"}, Level.FAILED, False),
        (404, ["no object"], Level.FAILED, False),
    ],
    ids=["ready", "not ready", "another program", "another program with a list"],
)
def test_the_api_says_whether_the_observer_is_ready(status: int, body: object, level: Level, is_running: bool) -> None:
    with serving(status, body) as port:
        finding, running = check_api(ApiSettings(port=port))
    assert (finding.level, running) == (level, is_running)
    if status == 503:
        assert "the store does not answer" in finding.text


def test_a_free_port_means_that_no_observer_runs(closed_port: int) -> None:
    finding, is_running = check_api(ApiSettings(port=closed_port))
    assert (finding.level, is_running) == (Level.WARNING, False)


def test_a_port_that_is_taken_by_something_else_is_found() -> None:
    with answering(b"SSH-2.0-OpenSSH\r\n") as port:
        finding, is_running = check_api(ApiSettings(port=port))
    assert (finding.level, is_running) == (Level.FAILED, False)
    assert "if that is the observer, restart it" in finding.remedy


def test_an_address_that_is_not_this_machines_is_found(closed_port: int) -> None:
    finding, _ = check_api(ApiSettings(host="localhost", port=closed_port))
    assert finding.level is Level.WARNING
