"""How many status writes a replica may make: a token bucket that yields when the API server says
so.

A 429 halves the rate, and the rate then grows back evenly within a minute: the API server's other
clients are worth more than a fresh number. Several writes that are refused together are one signal,
not several.
"""

from __future__ import annotations

__all__ = ["WriteBudget"]

_RECOVERY_SECONDS = 60.0
_ONE_SIGNAL_SECONDS = 1.0
# Slower than this nobody could tell that it still writes.
_SLOWEST = 1.0


class WriteBudget:
    """Tokens accrue at ``per_second`` up to a second's worth. Times are monotonic seconds."""

    __slots__ = ("_accrued_at", "_full", "_halved_at", "_halved_to", "_tokens")

    def __init__(self, per_second: float, now: float) -> None:
        self._full = per_second
        self._tokens = self._burst
        self._accrued_at = now
        self._halved_to = per_second
        self._halved_at = now

    @property
    def _burst(self) -> float:
        return max(self._full, 1.0)

    def rate(self, now: float) -> float:
        """Writes a second at ``now``."""
        recovered = self._full * max(0.0, now - self._halved_at) / _RECOVERY_SECONDS
        return min(self._full, self._halved_to + recovered)

    def wait(self, now: float) -> float:
        """Seconds until a token is there, 0 when one is."""
        self._accrue(now)
        return max(0.0, (1.0 - self._tokens) / self.rate(now))

    def take(self, now: float) -> bool:
        """Takes a token if one is there."""
        self._accrue(now)
        # Rounding must not keep a token away whose time has come.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True

    def give_back(self) -> None:
        """Returns a token that was not needed."""
        self._tokens = min(self._burst, self._tokens + 1.0)

    def halve(self, now: float, pause: float) -> None:
        """The API server is overloaded: half as fast, from a bucket that is empty when ``pause``
        ends.
        """
        if now - self._halved_at < _ONE_SIGNAL_SECONDS and self._halved_to < self._full:
            return
        self._halved_to = max(self.rate(now) / 2, min(_SLOWEST, self._full))
        self._halved_at = self._accrued_at = now + pause
        self._tokens = 0.0

    def _accrue(self, now: float) -> None:
        elapsed = max(0.0, now - self._accrued_at)
        self._tokens = min(self._burst, self._tokens + elapsed * self.rate(now))
        self._accrued_at = max(now, self._accrued_at)
