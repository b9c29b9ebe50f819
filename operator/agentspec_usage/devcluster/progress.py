"""What a person sees while something slow goes on.

On a terminal: one line, rewritten every second, so that it is plain that something still happens.
Elsewhere (a log, CI): a line when a step begins, one every half minute, one at the end. Nothing
here decides anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

__all__ = ["Progress", "duration"]

_LIVE_SECONDS = 1.0
_PLAIN_SECONDS = 30.0
_LIVE_WIDTH = 100
_CLEAR_LINE = "\r\x1b[K"


def duration(seconds: float) -> str:
    """``45 s``, ``3 min``, ``3 min 20 s``: how people say it."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


class Progress:
    """Tells ``stream`` about steps; ``None`` is told nothing."""

    def __init__(
        self, stream: TextIO | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._live = stream is not None and stream.isatty()
        self._clock = clock
        self._label = ""
        self._began = 0.0
        self._told = 0.0

    def say(self, line: str) -> None:
        """A line of its own."""
        self._write(f"{_CLEAR_LINE}{line}\n" if self._live else f"{line}\n")

    def begin(self, label: str, note: str = "") -> None:
        """A step begins: ``label`` names it in every line that follows, ``note`` is said once."""
        self._label = label
        self._began = self._told = self._clock()
        if self._live:
            self._write(f"{_CLEAR_LINE}{label}{note}"[:_LIVE_WIDTH])
        else:
            self._write(f"{label}{note}\n")

    def tick(self, detail: str = "") -> None:
        """The step goes on; may be called as often as one likes."""
        now = self._clock()
        if now - self._told < (_LIVE_SECONDS if self._live else _PLAIN_SECONDS):
            return
        self._told = now
        suffix = f", {detail}" if detail else ""
        line = f"{self._label}: {duration(now - self._began)}{suffix}"
        self._write(f"{_CLEAR_LINE}{line[:_LIVE_WIDTH]}" if self._live else f"{line}\n")

    def end(self, outcome: str = "done") -> None:
        self.say(f"{self._label}: {outcome} in {duration(self._clock() - self._began)}")

    def waiting_for(self, doing: str) -> Callable[[int | None], None]:
        """What to call while another process is at it; the first call says so."""
        begun = False

        def waiting(holder: int | None) -> None:
            nonlocal begun
            if begun:
                self.tick()
                return
            begun = True
            self.begin(f"waiting for process {holder or '(not known)'}, which {doing}")

        return waiting

    def _write(self, text: str) -> None:
        if self._stream is not None:
            self._stream.write(text)
            self._stream.flush()
