"""What the demo shows: kubectl's table and the control plane's, again and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TextIO

__all__ = ["Screen"]

_LIVE_SECONDS = 2.0
_PLAIN_SECONDS = 10.0


class Screen:
    """On a terminal it is redrawn in place, elsewhere (a log) printed now and then."""

    def __init__(self, views: Sequence[Callable[[], str]], stream: TextIO) -> None:
        self._views = views
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
        shown = "".join(f"{view()}\n" for view in self._views)
        if self._in_place and self._lines:
            self._stream.write(f"\x1b[{self._lines}F\x1b[J")
        self._lines = shown.count("\n")
        self._stream.write(shown)
        self._stream.flush()
