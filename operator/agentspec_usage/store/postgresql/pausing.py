"""How often a server that does not answer is asked: at once, then after longer and longer pauses.

Within a pause the last failure is raised again without asking. So nobody waits in vain for every
single write of a busy minute, and a server that starts again is not met by a crowd.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

__all__ = ["Pause"]

Result = TypeVar("Result")

SHORTEST_SECONDS = 0.125
LONGEST_SECONDS = 2.0
"""Senders come again after a second or more."""


class Pause:
    """Shared by everything that asks one server, in whatever thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._seconds = 0.0
        self._until = 0.0
        self._failure: Exception | None = None

    def attempt(self, ask: Callable[[], Result], failure: type[Exception]) -> Result:
        """What ``ask`` gives. It fails by raising ``failure``; within a pause it is not called."""
        with self._lock:
            if self._failure is not None and self._monotonic() < self._until:
                raise type(self._failure)(*self._failure.args)
        try:
            found = ask()
        except failure as error:
            with self._lock:
                longer = max(SHORTEST_SECONDS, 2 * self._seconds)
                self._seconds = min(LONGEST_SECONDS, longer)
                self._until = self._monotonic() + self._seconds
                self._failure = error
            raise
        with self._lock:
            self._seconds, self._failure = 0.0, None
        return found
