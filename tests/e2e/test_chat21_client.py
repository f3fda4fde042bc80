"""The stock Chat21 client, unmodified, from the npm package @chat21/chat21-server (a test dependency only)."""

import hashlib
import json
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from observer.setup.signing_keys import SharedKey
from observer.tokens.base import Profile
from tests.services.missing import missing
from tests.services.observer import RunningObserver, running_observer
from tests.services.rabbitmq import running_broker

pytestmark = [pytest.mark.node, pytest.mark.broker, pytest.mark.timeout(300)]

PROGRAM = Path(__file__).parent / "chat21"
APP = "tilechat"  # docs/facts.md, "Chat21's one app"
Inboxes = dict[str, list[dict[str, Any]]]
STAMPED = ("message_id", "sender", "recipient", "app_id", "timestamp", "status")


@pytest.fixture(scope="session")
def packages(pytestconfig: pytest.Config) -> Path:
    """The folder with the installed packages, kept from run to run for as long as they are the same."""
    if shutil.which("npm") is None:
        missing("node", "no npm: install Node.js")
    lock = (PROGRAM / "package-lock.json").read_bytes()
    folder = pytestconfig.cache.mkdir(f"chat21-{hashlib.sha256(lock).hexdigest()[:16]}")
    if not (folder / "installed").exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PROGRAM / name, folder)
        # What a package wants to run at its installation is not ours to run.
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            missing("node", f"npm ci failed: {done.stderr[-500:]}")
        (folder / "installed").touch()
    return folder


@pytest.fixture(scope="module")
def inboxes(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Inboxes:
    """What reached alice and bob, two stock clients, through an observer that has the chat21 profile on."""
    key = SharedKey("tiledesk-key", secrets.token_hex(32).encode())
    with (
        running_broker(shared_key=key) as broker,
        running_observer(broker, tmp_path_factory.mktemp("observer")) as observer,
    ):
        return chat(observer, packages)


def chat(observer: RunningObserver, packages: Path) -> Inboxes:
    """What reached the inboxes of alice and bob, who said `hello`, `hi` and `bye` (chat21/two_users.js)."""
    people = {
        name: {"user": user, "token": observer.issue(user, app=APP, profile=Profile.CHAT21).token}
        for name, user in (("alice", "USER1"), ("bob", "USER2"))
    }
    plan = {"endpoint": observer.websocket_url, "app": APP, **people}
    done = subprocess.run(
        ["node", PROGRAM / "two_users.js", packages],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    inboxes: Inboxes = json.loads(done.stdout.splitlines()[-1])
    return inboxes


def test_a_stock_client_sends_and_receives_each_message_once(inboxes: Inboxes) -> None:
    """With 100 and 150, and the six stamped fields in both (docs/facts.md, "Chat21 messages" and "Chat21 copies")."""
    alice = [one["message"] for one in inboxes["alice"]]
    bob = [one["message"] for one in inboxes["bob"]]

    assert sorted((one["text"], one["status"]) for one in alice) == [("bye", 100), ("hello", 100), ("hi", 150)]
    assert sorted((one["text"], one["status"]) for one in bob) == [("bye", 150), ("hello", 150), ("hi", 100)]
    assert {one["conversWith"] for one in inboxes["alice"]} == {"USER2"}
    assert {one["conversWith"] for one in inboxes["bob"]} == {"USER1"}

    by_text = {one["text"]: one for one in bob}
    for sent in alice:
        received = by_text[sent["text"]]
        assert all(field in sent for field in STAMPED)
        assert {**sent, "status": 0} == {**received, "status": 0}
    hello = by_text["hello"]
    assert (hello["sender"], hello["recipient"], hello["app_id"]) == ("USER1", "USER2", APP)
    assert isinstance(hello["timestamp"], int)


def test_what_a_stock_client_writes_passes_through(inboxes: Inboxes) -> None:
    """Fields that are not stamped arrive as they were sent, null too (docs/facts.md, "Chat21 messages")."""
    hello = next(one["message"] for one in inboxes["bob"] if one["message"]["text"] == "hello")
    assert {name: value for name, value in hello.items() if name not in STAMPED} == {
        "text": "hello",
        "type": "text",
        "recipient_fullname": "Their Name",
        "sender_fullname": "My Name",
        "attributes": None,
        "metadata": {"src": "a.png"},
        "channel_type": "direct",
    }
