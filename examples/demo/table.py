"""``kubectl get agentobservations``, printed again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TextIO

from agentspec_usage.devcluster import Cluster
from examples.demo.cast import NAMESPACE

__all__ = ["COMMAND", "LiveTable"]

COMMAND = f"kubectl get agentobservations -n {NAMESPACE}"

_LIVE_SECONDS = 2.0
_PLAIN_SECONDS = 10.0


class LiveTable:
    """On a terminal the table is redrawn in place, elsewhere (a log) printed now and then."""

    def __init__(self, cluster: Cluster, stream: TextIO) -> None:
        self._cluster = cluster
        self._stream = stream
        self._in_place = stream.isatty()
        self._lines = 0

    def show_while(self, running: Callable[[], bool], seconds: float | None) -> None:
        """Show it while ``running``, for so long at most; None: until interrupted."""
        end = math.inf if seconds is None else time.monotonic() + seconds
        every = _LIVE_SECONDS if self._in_place else _PLAIN_SECONDS
        while running() and (left := end - time.monotonic()) > 0:
            self.show()
            time.sleep(min(every, left))

    def show(self) -> None:
        """Show it as it is now."""
        text = self._cluster.kubectl(*COMMAND.split()[1:])
        if self._in_place and self._lines:
            self._stream.write(f"\x1b[{self._lines}F\x1b[J")
        shown = f"$ {COMMAND}\n{text}\n"
        self._lines = shown.count("\n")
        self._stream.write(shown)
        self._stream.flush()
