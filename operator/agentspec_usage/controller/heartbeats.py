"""Whether the program's loops make progress: each loop beats, somebody else looks how long ago.

Alive means that work goes round, not that a port answers: a deadlocked operator answers probes for
ever. A loop says how often it beats at least; silence for a multiple of that is death. What a loop
waits for (an API server that is away) is no reason to be silent: it beats when it tries again,
because a restart would help nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agentspec_usage.runtime.clock import Clock

__all__ = ["Heartbeats", "watch_loop"]

_FACTOR = 3.0


class Heartbeats:
    """The named loops and when each beat last. Beaten on the event loop, read by other threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._periods: dict[str, float] = {}
        self._beaten: dict[str, float] = {}

    def expect(self, name: str, period: float) -> Callable[[], None]:
        """A loop that beats at least every ``period`` seconds from now on; what it beats with."""

        def beat() -> None:
            self._beaten[name] = self._clock.monotonic()

        beat()
        self._periods[name] = period
        return beat

    def forget(self, name: str) -> None:
        """A loop that has ended as it should."""
        self._periods.pop(name, None)

    def silent(self) -> dict[str, str]:
        """The loops that are overdue, each with what was expected of it; none while all is well."""
        now = self._clock.monotonic()
        return {
            name: f"silent for {age:.0f} s, beats every {period:g} s"
            for name, period in list(self._periods.items())
            if (age := now - self._beaten[name]) > _FACTOR * period
        }


async def watch_loop(
    clock: Clock,
    beat: Callable[[], None],
    observe_lag: Callable[[float], None],
    *,
    period: float = 1.0,
) -> None:
    """Beat for the event loop itself and observe by how many seconds it runs late, for ever."""
    while True:
        due = clock.monotonic() + period
        await asyncio.sleep(period)
        beat()
        observe_lag(max(0.0, clock.monotonic() - due))
