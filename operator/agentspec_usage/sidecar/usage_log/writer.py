"""The thread that writes the log, and the bounded queue before it.

Offering a line never waits and never fails: the path of a model call is no place for a disk. What
does not fit into the queue, and what the disk refuses, is dropped and counted apart.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Protocol

__all__ = ["QUEUE_LINES", "LineFile", "LogStats", "LogWriter"]

logger = logging.getLogger(__name__)

QUEUE_LINES = 10_000
"""About 5 MB, and many seconds of any agent."""

_BATCH = 256
"""Lines in one write."""


class LineFile(Protocol):
    """Where lines go. Only the writer's thread touches it."""

    def write(self, lines: bytes) -> int:
        """Append whole lines; how many of their bytes are there, always whole lines. Raises OSError
        when none are.
        """
        ...

    def sync(self) -> None:
        """To the disk. Raises OSError."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LogStats:
    """``fault`` is why the newest write failed, "" when it did not."""

    written: int = 0
    dropped_queue: int = 0
    dropped_disk: int = 0
    fault: str = ""


class LogWriter:
    """Lines may be offered from any thread."""

    def __init__(self, file: LineFile, queue_lines: int = QUEUE_LINES) -> None:
        self._file = file
        self._queue_lines = queue_lines
        self._lines: deque[bytes] = deque()
        self._changed = Condition()
        self._closing = False
        self._written = 0
        self._dropped_queue = 0
        self._dropped_disk = 0
        self._fault = ""
        self._thread = Thread(target=self._run, name="usage-log", daemon=True)

    @property
    def stats(self) -> LogStats:
        return LogStats(self._written, self._dropped_queue, self._dropped_disk, self._fault)

    def start(self) -> None:
        self._thread.start()

    def offer(self, line: bytes) -> None:
        """Take ``line``, with its line break, unless the queue is full."""
        with self._changed:
            if self._closing or len(self._lines) >= self._queue_lines:
                self._dropped_queue += 1
                return
            self._lines.append(line)
            self._changed.notify()

    def close(self, seconds: float) -> bool:
        """Write what waits, to the disk; whether that was done within ``seconds``."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._next():
            self._write(batch)
        try:
            self._file.sync()
        except OSError as error:
            self._failed(error)
        self._file.close()

    def _next(self) -> list[bytes]:
        """Lines to write; none when the log is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
            return [self._lines.popleft() for _ in range(min(len(self._lines), _BATCH))]

    def _write(self, batch: list[bytes]) -> None:
        lines = b"".join(batch)
        try:
            written = self._file.write(lines)
        except OSError as error:
            self._failed(error)
            self._dropped_disk += len(batch)
            return
        count = lines.count(b"\n", 0, written)
        self._written += count
        self._dropped_disk += len(batch) - count
        if self._fault and count == len(batch):
            self._fault = ""
            logger.info("the usage log is written again", extra={"dropped": self._dropped_disk})

    def _failed(self, error: OSError) -> None:
        """On change: a full disk refuses each line."""
        fault = error.strerror or "cannot be written"
        if fault != self._fault:
            self._fault = fault
            logger.warning(
                "the usage log cannot be written: lines are dropped", extra={"error": fault}
            )
