"""`observer run`, told to stop before it has begun."""

import asyncio
import gc
from pathlib import Path

from observer.app import run
from observer.local.ports import free_ports
from observer.settings_load import load_settings
from observer.setup.set_up import SetUpOptions, set_up


async def test_who_is_stopped_before_he_has_begun_begins_nothing(tmp_path: Path) -> None:
    """Ctrl-C comes when it comes; nothing half begun may be left, which Python would complain of."""
    [port] = free_ports(1)
    places = set_up(SetUpOptions(directory=tmp_path / "var", broker_version=(4, 3), api_port=port))
    stop = asyncio.Event()
    served: list[str] = []
    stop.set()

    await run(load_settings(places.settings, {}), stop=stop, on_ready=lambda: served.append("ready"))

    assert served == []
    gc.collect()
