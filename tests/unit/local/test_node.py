"""Telling a node of an earlier run from whatever else has its process id."""

import os
import subprocess
import sys

from observer.local.node import start_time


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
