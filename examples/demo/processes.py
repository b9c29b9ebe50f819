"""The processes that the demo starts, and how it ends them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["ROOT", "start", "stop", "wait_until_listening"]

ROOT = Path(__file__).resolve().parents[2]

_GRACE_SECONDS = 15.0
_START_SECONDS = 30.0


def start(
    arguments: Sequence[str], *, log: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start Python with ``arguments``, tethered to this process, in a session of its own.

    The session keeps a Ctrl-C from reaching it: the demo ends its processes in the order that it
    wants. Nothing of the user's environment reaches it either, no proxy and no key.
    """
    tether = ["-m", "examples.demo.tethered", str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *tether, sys.executable, *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


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
