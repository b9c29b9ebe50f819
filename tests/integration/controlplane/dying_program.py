"""The control plane, which ends itself with SIGKILL at a step that has a name.

``python -m tests.integration.controlplane.dying_program STEP READY-FILE ARGUMENTS`` runs the
shipped program as it is. What it does is seen from the interpreter alone: a profile function sees
calls of C functions begin and end, and SQLite tells each statement before it runs. Steps count from
SIGUSR1 on, which is answered by making READY-FILE: the start is not among them.

``before COMMIT`` is before the writer runs a statement that begins so, ``after COMMIT`` is when it
has run. ``before decompress`` is a body that has come whole, ``result`` that the writer hands a
result to whoever waits for it, ``answer`` that a part of an answer is sent to its client.
"""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from agentspec_usage.cli.main import main

_WRITER = "store-writer"


class Death:
    """Waits for ``step``, once it was told to be ready."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._ready = False
        self._statement = ""
        self._listened: set[int] = set()

    def ready(self, made: Path) -> Callable[[int, FrameType | None], None]:
        """What makes it ready, as a handler of a signal."""

        def handler(number: int, frame: FrameType | None) -> None:
            self._ready = True
            sys.setprofile(self.profiled)
            made.touch()

        return handler

    def profiled(self, frame: FrameType, event: str, argument: Any) -> None:
        """A profile function: what is called of C, and what returns from it."""
        if event not in ("c_call", "c_return"):
            return
        when = "before" if event == "c_call" else "after"
        name, owner = argument.__name__, getattr(argument, "__self__", None)
        if isinstance(owner, sqlite3.Connection):
            if threading.current_thread().name == _WRITER:
                self._listen(owner)
                if when == "after":
                    self._reached(f"after {self._statement}")
        elif isinstance(owner, socket.socket) and name == "send":
            # The event loop wakes itself through a socket of another family.
            to_client = owner.family == socket.AF_INET
            self._reached(f"{when} {'answer' if to_client else self._wakes()}")
        else:
            self._reached(f"{when} {name}")

    def _listen(self, connection: sqlite3.Connection) -> None:
        """Hear each statement of the connection before it runs."""
        if id(connection) not in self._listened:
            self._listened.add(id(connection))
            connection.set_trace_callback(self._told)

    def _told(self, statement: str) -> None:
        self._statement = statement
        self._reached(f"before {statement}")

    def _wakes(self) -> str:
        return "result" if threading.current_thread().name == _WRITER else "wake"

    def _reached(self, step: str) -> None:
        if self._ready and step.startswith(self._step):
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    death = Death(sys.argv[1])
    signal.signal(signal.SIGUSR1, death.ready(Path(sys.argv[2])))
    # The main thread is watched once it is told to die: watched imports would take long.
    threading.setprofile(death.profiled)
    sys.exit(main(sys.argv[3:]))
