"""Processes are ended by who they are, not by a number that somebody else may have now."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentspec_usage.devcluster.processes import (
    ProcessIdentity,
    find_by_argument,
    identify,
    is_running,
    start,
    stop,
)


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessIdentity]:
    identity = start(["sleep", "600.25"], directory=tmp_path, log=tmp_path / "log")
    yield identity
    stop(identity, grace=1.0)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stopped_process_is_gone_and_reaped(sleeper: ProcessIdentity) -> None:
    assert is_running(sleeper)
    stop(sleeper, grace=10.0)
    assert not is_running(sleeper)
    assert not Path(f"/proc/{sleeper.pid}").exists()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"started": 1}, id="pid-reused"),
        pytest.param({"boot": "another"}, id="machine-rebooted"),
    ],
)
def test_a_stranger_with_the_same_pid_is_never_stopped(
    sleeper: ProcessIdentity, other: dict[str, object]
) -> None:
    stale = replace(sleeper, **other)  # type: ignore[arg-type]
    assert not is_running(stale)
    stop(stale, grace=0.0)
    assert is_running(sleeper)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    script = 'trap "" TERM; echo deaf; while :; do sleep 0.1; done'
    log = tmp_path / "log"
    identity = start(["sh", "-c", script], directory=tmp_path, log=log)
    _until(lambda: log.read_text() == "deaf\n")
    stop(identity, grace=0.1)
    assert not is_running(identity)


def test_a_zombie_is_not_running() -> None:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert identify(process.pid) is None


def test_a_process_is_recognised_whatever_its_name_contains(tmp_path: Path) -> None:
    """The kernel prints the name unescaped between brackets, before the start time."""
    program = tmp_path / "a) Z 1 (b"
    program.symlink_to("/bin/sleep")
    identity = start([str(program), "600"], directory=tmp_path, log=tmp_path / "log")
    try:
        _until(lambda: program.name in Path(f"/proc/{identity.pid}/comm").read_text())
        assert identify(identity.pid) == identity
    finally:
        stop(identity, grace=1.0)


def test_a_process_is_found_by_a_whole_argument_only(
    sleeper: ProcessIdentity, tmp_path: Path
) -> None:
    _until(lambda: bool(find_by_argument("600.25")))
    assert sleeper in find_by_argument("600.25")
    assert find_by_argument("600.2") == ()


def test_a_server_gets_neither_environment_nor_descriptors_nor_signals_of_its_starter(
    tmp_path: Path,
) -> None:
    log = tmp_path / "log"
    read, write = os.pipe()
    os.set_inheritable(write, False)
    try:
        script = f"env; pwd; umask; ls /proc/$$/fd; test -e /proc/$$/fd/{write} && echo leaked"
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            identity = start(["sh", "-c", script], directory=tmp_path, log=log)
        finally:
            signal.signal(signal.SIGINT, previous)
        _until(lambda: not is_running(identity))
        stop(identity, grace=0)
    finally:
        os.close(read)
        os.close(write)
    said = log.read_text().splitlines()
    assert "PATH" not in {line.partition("=")[0] for line in said}
    assert "HOME" not in {line.partition("=")[0] for line in said}
    assert str(tmp_path) in said
    assert "0077" in said
    assert "leaked" not in said
    assert log.stat().st_mode & 0o077 == 0
