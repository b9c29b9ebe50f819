"""Charging tails that have grown old: what was told long ago and never delivered.

An agent that delivers its calls does so within seconds, or after an outage of hours. What is still
not delivered after a day is charged as an estimate, dated when it was used: so the usage of an
agent that is only looked at is in every sum of the days before, and the close of a period finds
little left to do. A call that is delivered later all the same takes its estimate back.
"""

from __future__ import annotations

from agentspec_usage.metering.frame import bucket_of
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.store.observed import ObservationStore

__all__ = ["SETTLE_SECONDS", "Settling"]

SETTLE_SECONDS = 300.0
"""Between two rounds: a third of a bucket, so that what is due never waits for long."""

_HOUR_MS = 3_600_000

_FEW = 16
"""Instances that one write settles: a day of one is about two hundred entries."""


class Settling:
    def __init__(self, store: ObservationStore, clock: Clock, hours: float) -> None:
        self._store = store
        self._clock = clock
        self._age = int(hours * _HOUR_MS)

    async def round(self) -> None:
        """Charge everything that is old enough, a few instances at a time."""
        now = self._clock.now()
        while await self._store.settle_tails(bucket_of(now - self._age), _FEW, now):
            pass
