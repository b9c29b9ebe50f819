"""Time, as a value that is handed in.

Two clocks, never mixed: wall time (milliseconds since the epoch, UTC) is for what people and wires
see, monotonic seconds are for waiting and for measuring. A wall clock can step; nothing waits on
it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "SystemClock", "from_rfc3339", "to_rfc3339"]


class Clock(Protocol):
    """What a program's shell hands to its parts."""

    def now(self) -> int:
        """Wall time, milliseconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, from an arbitrary start."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()


def to_rfc3339(milliseconds: int) -> str:
    """``2026-11-01T08:30:00.125Z``: UTC with Z and milliseconds, the form that every wire of ours
    emits.
    """
    moment = datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def from_rfc3339(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time with Z or an offset, with or without a
    fraction.

    Raises ValueError for anything else, a time without an offset among it: it would be read in some
    machine's zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r}: expected an RFC 3339 time with Z or an offset")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86400 + delta.seconds) * 1000 + delta.microseconds // 1000
