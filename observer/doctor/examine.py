"""Every check, in the order in which one thing rests on another."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from observer.broker.connect import BrokerOptions
from observer.doctor.broker import check_broker
from observer.doctor.endpoints import check_api, check_mqtt, check_websocket
from observer.doctor.files import check_certificates, check_signing_keys
from observer.doctor.finding import Finding, ok, warning
from observer.doctor.store import check_disk, check_store, sqlite_path
from observer.settings import Settings
from observer.settings_checks import risks


async def examine(settings: Settings, options: BrokerOptions, *, settings_from: str) -> AsyncIterator[Finding]:
    """Look at everything; what is found comes as it is found. Nothing is changed but an old schema of the store.

    `settings_from` says which set-up this is.
    """
    yield ok("configuration", f"valid; {settings_from}")
    for text in risks(settings):
        yield warning("configuration", text, "change the setting, unless it is meant")
    for finding in check_certificates(settings.broker, datetime.now(UTC)):
        yield finding
    yield check_signing_keys(settings.tokens)
    async for finding in check_broker(options, settings.broker.shards):
        yield finding
    yield await check_mqtt(settings.public.mqtt_url, settings.broker.ca_file)
    yield await check_websocket(settings.public.websocket_url, settings.broker.ca_file)
    api, is_observer_running = await asyncio.to_thread(check_api, settings.api)
    yield api
    yield await check_store(settings.store, is_observer_running=is_observer_running)
    file = sqlite_path(settings.store)
    yield check_disk(file.parent if file else Path())
