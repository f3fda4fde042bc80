"""The container image under Compose, as an operator gets it with `docker compose up --wait`."""

from pathlib import Path

import httpx
import pytest

from observer.tokens.base import IssuedToken
from tests.services.compose import LONG_RUNNING, Stack
from tests.services.people import Person, connected

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
SECRETS = ("var/keys/current.pem", "var/broker/ca.key", "var/broker/observer.key", "var/api.key", "var/store-url")
ASK_WITHOUT_LOGIN = """
from pymongo import MongoClient
from pymongo.errors import OperationFailure
try:
    MongoClient("mongodb://mongo:27017/").observer.messages.find_one()
except OperationFailure:
    print("refused")
"""

INSTALLED = """
from importlib.metadata import distributions
for one in distributions():
    print(f"{one.name}=={one.version}")
"""
EVALUATE = 'PATH=/usr/lib/rabbitmq/bin:$PATH rabbitmqctl eval "$(cat)"'


def history(stack: Stack, reader: IssuedToken, peer: str) -> list[str]:
    """The texts of the reader's conversation with `peer`, as the HTTP API tells them."""
    answer = httpx.get(
        f"{stack.api_url}/v1/conversations/{peer}/messages", headers={"Authorization": f"Bearer {reader.token}"}
    )
    return [message["text"] for message in answer.raise_for_status().json()["messages"]]


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_a_container_has_no_root_no_rights_and_nothing_to_write_but_its_volumes(stack: Stack, service: str) -> None:
    container = stack.inspect(service)
    assert container["State"]["Health"]["Status"] == "healthy"
    assert container["HostConfig"]["ReadonlyRootfs"] is True
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in container["HostConfig"]["SecurityOpt"]
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert int(stack.compose("exec", "-T", service, "id", "-u")) > 0


def test_only_what_clients_need_is_published_and_only_on_loopback(stack: Stack) -> None:
    published = [stack.inspect(service)["HostConfig"]["PortBindings"] or {} for service in LONG_RUNNING]
    bindings = {port: binding for ports in published for port, binding in ports.items()}
    assert set(bindings) == {"1883/tcp", "15675/tcp", "8080/tcp"}
    assert {one["HostIp"] for binding in bindings.values() for one in binding} == {"127.0.0.1"}


def test_the_store_refuses_who_does_not_log_in(stack: Stack) -> None:
    assert stack.compose("exec", "-T", "observer", "python", "-c", ASK_WITHOUT_LOGIN).strip() == "refused"


def test_the_image_holds_the_pinned_versions_and_nothing_else(stack: Stack) -> None:
    """constraints.txt; a build of next year is the one of today."""
    installed = set(stack.compose("exec", "-T", "observer", "python", "-c", INSTALLED).splitlines())
    pinned = set((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())
    [ours] = installed - pinned
    assert ours.startswith("inbox-observer==")


def test_every_installation_makes_its_own_secrets_once_and_keeps_them(stack: Stack) -> None:
    """No default secret: two installations share none; a second set-up changes none."""
    read = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "sha256sum", "setup", *SECRETS, "mongo/password")
    set_up = ("run", "--rm", "-T", "setup")
    first = stack.compose(*read)
    stack.compose(*set_up)
    assert stack.compose(*read) == first

    other = Stack()
    try:
        other.compose(*set_up)
        lines = set(first.splitlines()) & set(other.compose(*read).splitlines())
        assert not lines
    finally:
        other.down()


def test_two_clients_chat_over_mqtt_and_websocket(stack: Stack) -> None:
    alice = stack.person("alice")
    bob = Person(stack.issue("bob"), stack.websocket_port, transport="websockets")
    with connected(alice, bob):
        alice.send("bob", "ciao")
        bob.wait_for_texts("ciao", status=150)
        bob.send("alice", "salve")
        alice.wait_for_texts("salve", status=150)
        alice.wait_for_texts("ciao", status=100)
        bob.wait_for_texts("salve", status=100)
    assert (alice.texts(), bob.texts()) == (["ciao", "salve"], ["ciao", "salve"])


def test_the_two_chat_lines_work_inside_the_observers_container(stack: Stack) -> None:
    """`docker compose exec observer observer chat …`: what one says, the other reads."""
    chat = ("exec", "-T", "observer", "observer", "chat")
    stack.compose(*chat, "--user", "grace", "--to", "heidi", said="Good morning\n")
    read = stack.compose(*chat, "--user", "heidi", "--to", "grace", "--seconds", "2")
    assert "Good morning" in read


def test_the_signing_key_is_changed_as_the_docs_say(stack: Stack) -> None:
    """docs/compose.md, "A new signing key": twice without a restart, and the broker still has the keys after one."""
    alice = stack.person("alice")
    rotate = ("observer", "token", "rotate", "--broker-knows", "-")
    with connected(alice):
        for round_ in ("first", "second"):
            expression = stack.compose("exec", "-T", "observer", "observer", "token", "broker-keys")
            answer = stack.compose("exec", "-T", "rabbitmq", "sh", "-c", EVALUATE, said=expression)
            stack.compose("exec", "-T", "observer", *rotate, said=answer)
            bob = stack.person("bob")
            with connected(bob):
                alice.send("bob", round_)
                bob.wait_for_texts(round_, status=150)
    stack.compose("run", "--rm", "-T", "setup")
    # Both: an observer that waits long enough for its broker counts as unhealthy, and then `up --wait` gives up.
    stack.compose("restart", "rabbitmq", "observer")
    stack.up()
    with connected(stack.person("carol")):
        pass


def test_sigterm_ends_the_observer_with_0_and_what_comes_meanwhile_waits(stack: Stack) -> None:
    carol, dave = stack.person("carol"), stack.person("dave")
    texts = [str(number) for number in range(40)]
    with connected(carol, dave):
        early = [carol.send("dave", text) for text in texts[:20]]
        dave.wait_for_texts("0")
        stack.compose("stop", "observer")
        assert stack.inspect("observer")["State"]["ExitCode"] == 0
        late = [carol.send("dave", text) for text in texts[20:]]
        for one in early + late:
            one.wait_for_publish(30)
        stack.up()
        dave.wait_for_texts(*texts)
    assert history(stack, stack.issue("dave"), "carol") == texts


def test_messages_survive_a_restart_of_everything(stack: Stack) -> None:
    """What was stored is in the history, and what waited in the broker gets there."""
    erin, frank = stack.person("erin"), stack.person("frank")
    with connected(erin, frank):
        erin.send("frank", "stored")
        frank.wait_for_texts("stored")
        stack.compose("stop", "observer")
        erin.send("frank", "waiting").wait_for_publish(30)
    stack.compose("restart")
    stack.up()
    erin, frank = stack.person("erin"), stack.person("frank")
    with connected(erin, frank):
        erin.send("frank", "after")
        frank.wait_for_texts("after")
    assert history(stack, stack.issue("frank"), "erin") == ["stored", "waiting", "after"]
