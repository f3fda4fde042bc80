"""The quick starts of docs/examples, run as written against a running observer."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.services.missing import missing
from tests.services.observer import RunningObserver
from tests.services.people import connected

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PYTHON = EXAMPLES / "python" / "chat.py"


@pytest.fixture(scope="session")
def javascript(pytestconfig: pytest.Config) -> Path:
    """The JavaScript example with its packages, kept from run to run for as long as they are the same."""
    if shutil.which("npm") is None:
        missing("node", "no npm: install Node.js")
    source = EXAMPLES / "javascript"
    version = hashlib.sha256((source / "package.json").read_bytes()).hexdigest()[:16]
    folder = pytestconfig.cache.mkdir(f"example-{version}")
    for name in ("package.json", "chat.js"):
        shutil.copy(source / name, folder)
    if not (folder / "installed").exists():
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            missing("node", f"npm install failed: {done.stderr[-500:]}")
        (folder / "installed").touch()
    return folder


@contextmanager
def example(observer: RunningObserver, command: Sequence[str], key: str = "") -> Iterator["subprocess.Popen[str]"]:
    """The example while it runs."""
    environment = dict(observer.environment) | {"API_URL": observer.api_url, "API_KEY": key or observer.api_key}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: "subprocess.Popen[str]", wanted: str) -> None:
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.rstrip("\n") == wanted:
            return
    raise AssertionError(f"the example ended without saying {wanted!r}: {''.join(said)}")


def check_conversation(observer: RunningObserver, command: Sequence[str]) -> None:
    """The example as alice: what she sends reaches bob and comes back to her; what bob answers reaches her."""
    bob = observer.person("bob")
    with connected(bob), example(observer, [*command, "alice", "bob", "Hello, Bob"]) as process:
        read_until(process, "alice: Hello, Bob")
        bob.wait_for_texts("Hello, Bob")
        bob.send("alice", "Hello, Alice")
        read_until(process, "bob: Hello, Alice")


def check_refusal(observer: RunningObserver, command: Sequence[str]) -> None:
    """A message that is not accepted is told with its reason."""
    with example(observer, [*command, "alice", "bob", "x" * 30_000]) as process:
        assert process.stdout is not None
        assert any(line.startswith("not sent: ") for line in process.stdout)


@pytest.mark.node
def test_the_javascript_example_sends_and_receives(observer: RunningObserver, javascript: Path) -> None:
    check_conversation(observer, ["node", str(javascript / "chat.js")])
    check_refusal(observer, ["node", str(javascript / "chat.js")])


def test_the_python_example_sends_and_receives(observer: RunningObserver) -> None:
    check_conversation(observer, [sys.executable, str(PYTHON)])
    check_refusal(observer, [sys.executable, str(PYTHON)])


def test_without_a_good_key_the_example_says_that_it_gets_no_token(observer: RunningObserver) -> None:
    command = [sys.executable, str(PYTHON), "alice", "bob", "hi"]
    with example(observer, command, key="wrong") as process:
        assert process.stdout is not None
        assert "401" in process.stdout.read()


@pytest.mark.parametrize("name", ["javascript/chat.js", "python/chat.py"])
def test_the_readme_shows_the_examples_as_they_are_run(name: str) -> None:
    """A newcomer copies from there."""
    assert (EXAMPLES / name).read_text().strip() in (EXAMPLES.parents[1] / "README.md").read_text()
