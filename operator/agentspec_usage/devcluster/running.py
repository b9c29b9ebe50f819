"""Run a program to its end, show what it says, and leave none of its children if interrupted."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["run_to_end"]

_TICK_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.05
_KEPT_LINES: Final = 20
_GRACE_SECONDS: Final = 5.0


def run_to_end(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    told: Callable[[str], None],
    keep: int | None = None,
) -> tuple[int, str]:
    """Its exit code and the last lines that it wrote to standard output and error.

    ``told`` gets every line, and an empty one twice a second, so that time is seen to pass.
    ``keep`` is a descriptor that the program inherits. An exception, Ctrl-C's too, ends the
    program's whole group.
    """
    last: deque[str] = deque(maxlen=_KEPT_LINES)
    with subprocess.Popen(
        command,
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=() if keep is None else (keep,),
        start_new_session=True,
    ) as process:
        try:
            for line in _lines(process):
                if line:
                    last.append(line)
                told(line)
            return process.wait(), "\n".join(last)
        except BaseException:
            _end_group(process)
            raise


def _lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(_TICK_SECONDS):
                yield ""
                continue
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the program and whatever it started.

    Its leader is not reaped before the last signal: until then the group's number cannot mean
    another one.
    """
    if process.returncode is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            break
        time.sleep(_POLL_SECONDS)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
