"""Breaks each guarantee on purpose, in a copy of the project, and sees its test fail: `make sabotage`.

A number of a promise as argument takes the breaks of that one only. Exit status 1 if a test did not notice.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.sabotage.breaks import BREAKS, Break

ROOT = Path(__file__).parents[2]
COPIED = ("observer", "policies", "rabbitmq", "tests", "docs", "pyproject.toml", "constraints.txt", "README.md")
TESTS_PASSED, TESTS_FAILED = 0, 1  # pytest's exit statuses; any other one says that it could not try


def main(arguments: list[str]) -> int:
    """Try all of them, or those of one promise."""
    wanted = [one for one in BREAKS if not arguments or str(one.promise) in arguments]
    unnoticed = [one for one in wanted if not is_noticed(one)]
    print(f"{len(wanted) - len(unnoticed)} of {len(wanted)} breaks were noticed.")
    return 1 if unnoticed or not wanted else 0


def is_noticed(one: Break) -> bool:
    """Whether the test passes on a copy as it is, and fails on one that is broken this way."""
    with tempfile.TemporaryDirectory(prefix="observer-sabotage-") as name:
        copy = Path(name)
        copy.chmod(0o711)  # the broker may run as another user
        for part in COPIED:
            put(ROOT / part, copy / part)
        whole = run(one.test, copy)
        apply(one, copy)
        broken = run(one.test, copy)
    is_seen = (whole.returncode, broken.returncode) == (TESTS_PASSED, TESTS_FAILED)
    print(f"{'noticed' if is_seen else 'NOT NOTICED'}: {one.promise}. {one.what} ({one.test})", flush=True)
    if not is_seen:
        print((broken if whole.returncode == TESTS_PASSED else whole).stdout[-3000:], flush=True)
    return is_seen


def run(test: str, copy: Path) -> "subprocess.CompletedProcess[str]":
    """Run one test on the copy, and all that it starts too."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


def put(source: Path, target: Path) -> None:
    """Copy a file or a folder, without what Python has left there."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def apply(one: Break, root: Path) -> None:
    """Break it."""
    path = root / one.file
    path.write_text(path.read_text(encoding="utf-8").replace(one.old, one.new), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
