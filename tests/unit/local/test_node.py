"""Telling a node of an earlier run from whatever else has its process id; folders of a node that is another user."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from observer.local.node import NODE_FOLDERS, NodePlan, hand_over, prepare_folders, start_time

SOMEBODY = "nobody"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def test_a_process_is_known_by_its_start_until_it_has_ended() -> None:
    """Also while nobody has asked for its exit status: in a container there may be nobody who does."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        started = start_time(process.pid)
        assert started == start_time(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert started is not None
        assert start_time(process.pid) is None
    assert start_time(process.pid) is None


def test_processes_of_different_times_are_told_apart() -> None:
    """Ids are used again."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert start_time(process.pid) != start_time(os.getpid())
        process.kill()


@pytest.fixture
def plan(tmp_path: Path) -> NodePlan:
    """The folders of a node, with a key to read in `config` and a file of its own in `data`."""
    made = NodePlan(tmp_path / "config", tmp_path / "state", distribution_port=1, epmd_port=2)
    (made.config / "keys").mkdir(parents=True)
    (made.config / "server.key").touch(mode=0o600)
    prepare_folders(made)
    (made.state / "data" / "queues").touch()
    return made


def owner(path: Path) -> str:
    return pwd.getpwuid(path.lstat().st_uid).pw_name


@as_root
def test_a_node_of_another_user_owns_what_it_writes_and_reads(plan: NodePlan) -> None:
    hand_over(plan, SOMEBODY)
    theirs = [*(plan.state / name for name in NODE_FOLDERS), plan.state / "data" / "queues"]
    assert {owner(path) for path in (*theirs, plan.config / "server.key")} == {SOMEBODY}


@as_root
def test_a_node_of_another_user_can_put_no_link_where_root_writes(plan: NodePlan) -> None:
    """Neither beside the note of its process, which root kills by it, nor beside its configuration."""
    for path in (plan.state, plan.config):
        os.chown(path, pwd.getpwnam(SOMEBODY).pw_uid, -1)  # as versions before this one left them
    hand_over(plan, SOMEBODY)
    for folder in (plan.pid_file.parent, plan.output.parent, plan.config, plan.config / "keys"):
        assert owner(folder) == "root"
        assert folder.stat().st_mode & 0o022 == 0


@as_root
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_planted_link_leads_to_is_not_given_away(plan: NodePlan, tmp_path: Path, kind: str) -> None:
    """A broker that somebody broke into would own the machine after its next start."""
    secret = tmp_path / "etc" / "shadow"
    secret.parent.mkdir()
    secret.touch()
    for folder in (plan.state / "data", plan.state / "log", plan.config):
        (folder / "planted").symlink_to(secret if kind == "file" else secret.parent)

    hand_over(plan, SOMEBODY)

    assert {owner(secret), owner(secret.parent)} == {"root"}


def test_a_link_in_place_of_the_cookie_is_not_followed(plan: NodePlan, tmp_path: Path) -> None:
    cookie, target = plan.state / "home" / ".erlang.cookie", tmp_path / "target"
    cookie.unlink()
    cookie.symlink_to(target)
    prepare_folders(plan)
    assert not target.exists()
