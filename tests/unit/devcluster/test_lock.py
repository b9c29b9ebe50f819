"""One process at a time, and a dead one is not waited for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspec_usage.devcluster.locking import exclusive

_HOLDER = """
import sys
from pathlib import Path
from agentspec_usage.devcluster.locking import exclusive
with exclusive(Path(sys.argv[1]), lambda holder: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its standard input ends."""
    command = (sys.executable, "-c", _HOLDER, str(tmp_path / "made" / "lock"))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def _release(holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    holder.stdin.close()
    holder.wait()


def test_the_second_waits_and_learns_who_holds_it(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    waited_for: list[int | None] = []

    def waiting(pid: int | None) -> None:
        waited_for.append(pid)
        if len(waited_for) == 2:
            _release(holder)

    with exclusive(tmp_path / "made" / "lock", waiting):
        assert waited_for == [holder.pid] * 2


def test_a_killed_holder_is_not_waited_for(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    waited_for: list[int | None] = []
    with exclusive(tmp_path / "made" / "lock", waited_for.append):
        assert waited_for == []


def test_a_lock_whose_directory_was_removed_meanwhile_is_taken_anew(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    def waiting(_pid: int | None) -> None:
        shutil.rmtree(tmp_path / "made")
        _release(holder)

    with exclusive(tmp_path / "made" / "lock", waiting) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), os.stat(tmp_path / "made" / "lock"))


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with exclusive(lock, lambda _: None) as descriptor:
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(descriptor,))
    waited: list[int | None] = []

    def waiting(pid: int | None) -> None:
        waited.append(pid)
        child.communicate()

    with exclusive(lock, waiting):
        assert waited == [os.getpid()]
