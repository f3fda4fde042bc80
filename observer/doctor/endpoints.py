"""The doors that clients come in by: MQTT, MQTT over WebSocket, and the HTTP API."""

import asyncio
import http.client
import json
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from secrets import token_bytes
from urllib.parse import SplitResult, urlsplit

from observer.doctor.finding import Finding, failed, ok, warning
from observer.settings import ApiSettings

TIMEOUT_S = 10.0  # RabbitMQ 4 answers a refused CONNECT after three seconds
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_TLS_SCHEMES = ("mqtts", "wss")
# CONNECT of MQTT 3.1.1: clean session, an empty client id, which the broker fills in; no user name, and the user whom
# RabbitMQ makes at its first start if that was without our definitions
_MQTT_NOBODY = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
_MQTT_GUEST = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x0a\x00\x00\x00\x05guest\x00\x05guest"
_CONNACK = 0x20
_ELSEWHERE = "correct it, or leave it if only clients can reach it from where they are"


async def check_mqtt(url: str, ca_file: Path) -> Finding:
    """Whether an MQTT broker answers, and turns away who brings no token."""
    check = "MQTT"
    for packet, remedy in (
        (_MQTT_NOBODY, "set `mqtt.allow_anonymous = false` on the broker"),
        (_MQTT_GUEST, "`rabbitmqctl delete_user guest`: everybody knows his password"),
    ):
        try:
            async with _opened(urlsplit(url), ca_file) as (reader, writer):
                writer.write(packet)
                answer = await reader.read(4)
        except (OSError, TimeoutError) as error:
            return _unreachable(check, f"public.mqtt_url = {url}", error)
        if len(answer) < 4 or answer[0] != _CONNACK:
            return failed(check, f"{url} does not speak MQTT", "correct public.mqtt_url")
        if answer[3] == 0:
            return failed(check, f"{url} lets in who brings no token", remedy)
    return ok(check, f"{url} answers, and turns away who brings no token")


async def check_websocket(url: str, ca_file: Path) -> Finding:
    """Whether MQTT over WebSocket is spoken there."""
    check, parts = "WebSocket", urlsplit(url)
    request = (
        f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {b64encode(token_bytes(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    try:
        async with _opened(parts, ca_file) as (reader, writer):
            writer.write(request.encode())
            status = (await reader.readline()).decode("latin-1").strip()
    except (OSError, TimeoutError, ValueError) as error:
        return _unreachable(check, f"public.websocket_url = {url}", error)
    if " 101 " not in f"{status} ":
        return failed(check, f"{url} answers {status!r} instead of MQTT over WebSocket", "correct public.websocket_url")
    return ok(check, f"{url} answers")


def check_api(settings: ApiSettings) -> tuple[Finding, bool]:
    """What the HTTP API says of the observer, and whether one runs here."""
    check, host, port = "HTTP API", settings.host, settings.port
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read(65_536)
    except ConnectionRefusedError:
        return _free(check, host, port), False
    except (OSError, http.client.HTTPException) as error:
        remedy = "if that is the observer, restart it; else choose another api.port"
        return failed(
            check, f"what listens at {host}:{port} does not answer as the observer does: {error}", remedy
        ), False
    finally:
        connection.close()
    if answer.status == HTTPStatus.OK:
        return ok(check, f"the observer at {host}:{port} is ready"), True
    reasons = _reasons(body)
    if reasons is None:
        text = f"{host}:{port} is in use by something that is no observer (status {answer.status})"
        return failed(check, text, "choose another api.port"), False
    return failed(check, f"the observer at {host}:{port} is not ready: {reasons}", "see its log"), True


@asynccontextmanager
async def _opened(
    parts: SplitResult, ca_file: Path
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the address, with the whole conversation under one time limit."""
    context = _trusting(ca_file) if parts.scheme in _TLS_SCHEMES else None
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or _PORTS[parts.scheme], ssl=context)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """Public authorities, and our own where there is one."""
    context = ssl.create_default_context()
    if ca_file.exists():
        context.load_verify_locations(ca_file)
    return context


def _unreachable(check: str, what: str, error: Exception) -> Finding:
    return warning(check, f"{what} cannot be reached from here: {str(error) or type(error).__name__}", _ELSEWHERE)


def _reachable(host: str) -> str:
    """Where to knock for a server that listens on every address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _free(check: str, host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            return failed(check, f"cannot listen on {host}:{port}: {error.strerror}", "choose another api.host or port")
    return warning(
        check, f"no observer runs at {host}:{port}; the port is free", "start it: `observer run` with the same --config"
    )


def _reasons(body: bytes) -> str | None:
    """Why an observer is not ready; None if it is no observer that speaks."""
    try:
        reasons = json.loads(body)["reasons"]
    except (ValueError, KeyError, TypeError):
        return None
    return "; ".join(map(str, reasons))
