"""What a process and its children have cost the processor so far, read from Linux' /proc (man 5 proc)."""

import os
from pathlib import Path

_PROC = Path("/proc")
_LISTENING = "0A"


def cpu_seconds(pid: int) -> float | None:
    """User and system time of the process tree under `pid`, in seconds; None when there is no such process.

    The kernel counts in ticks, usually of 10 ms: measure seconds, not single messages.
    """
    ticks = _ticks(pid)
    if ticks is None:
        return None
    return sum(_ticks(one) or 0 for one in _tree(pid)) / os.sysconf("SC_CLK_TCK")


def listener_pid(port: int) -> int | None:
    """The process that listens on this TCP port, or None if none does or it is not ours to see (a container's)."""
    sockets = {f"socket:[{inode}]" for table in ("tcp", "tcp6") for inode in _listening_inodes(table, port)}
    return next((pid for pid in _pids() if sockets & _open_files(pid)), None) if sockets else None


def _ticks(pid: int) -> int | None:
    """User and system ticks of one process and of those of its children that have ended."""
    fields = _stat(pid)
    return sum(int(ticks) for ticks in fields[11:15]) if fields else None


def _tree(root: int) -> set[int]:
    parents = {pid: int(fields[1]) for pid in _pids() if (fields := _stat(pid))}
    tree = {root}
    while grown := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= grown
    return tree


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the third (state) on; the second may hold blanks and parentheses."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _listening_inodes(table: str, port: int) -> list[str]:
    rows = (_PROC / "net" / table).read_text().splitlines()[1:]
    fields = (row.split() for row in rows)
    return [row[9] for row in fields if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port]


def _open_files(pid: int) -> set[str]:
    try:
        return {str(_link(entry)) for entry in (_PROC / str(pid) / "fd").iterdir()}
    except OSError:
        return set()


def _link(entry: Path) -> Path | None:
    try:
        return entry.readlink()
    except OSError:  # closed since it was listed
        return None
