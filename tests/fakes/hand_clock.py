"""A ``Clock`` that is moved by hand, for what takes the time as a value and waits for nothing."""

from __future__ import annotations

__all__ = ["HandClock"]


class HandClock:
    """Starts at a moment in 2026; both clocks move together."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self._now = now_ms
        self._monotonic = 1_000.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def pass_seconds(self, seconds: float) -> None:
        """Lets time go on."""
        self._now += round(seconds * 1000)
        self._monotonic += seconds
