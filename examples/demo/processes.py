"""The processes that the demo starts and ends, and the commands that it waits for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["PROGRAM", "ROOT", "finished", "start", "stop", "wait_until_listening"]

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = ("-m", "agentspec_usage.cli.main")
"""What is behind ``agentspec-usage``."""

_GRACE_SECONDS = 15.0
_START_SECONDS = 30.0
_COMMAND_SECONDS = 60.0
_PATH = "/usr/bin:/bin"


def start(
    arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start Python with ``arguments``, tethered to this process, in a session of its own.

    The session keeps a Ctrl-C from reaching it: the demo ends its processes in the order that it
    wants. Nothing of the user's environment reaches it either, no proxy and no key.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            _tethered(arguments),
            cwd=ROOT,
            env={"PATH": _PATH, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def finished(arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """What became of ``agentspec-usage`` with ``arguments``, run in ``directory``.

    Its errors are part of its output. Raises TimeoutError.
    """
    try:
        return subprocess.run(
            _tethered([*PROGRAM, *arguments]),
            cwd=directory,
            env={"PATH": _PATH, "HOME": str(directory), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SECONDS,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{arguments[0]} does not end within {error.timeout:g} s") from error


def _tethered(arguments: Sequence[str]) -> list[str]:
    tether = ["-m", "examples.demo.tethered", str(os.getpid())]
    return [sys.executable, *tether, sys.executable, *arguments]


def wait_until_listening(address: str, port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a connection is taken. Raises TimeoutError."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {address}:{port}")


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End them all: SIGTERM, and SIGKILL for who does not follow."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
