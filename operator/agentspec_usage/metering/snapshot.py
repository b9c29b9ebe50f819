"""A usage snapshot: the cumulative totals of one instance, as somebody read them.

An instance is one process life. It counts upwards and never resets, so reading it twice, late or
out of order does no harm: a reader takes the difference of what it read. A snapshot without an
instance id is AgentSpec's own dialect: a window that its sender drains, which the checkpoint treats
by other rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.series import SeriesKey

__all__ = ["Observer", "SeriesRow", "UsageReading", "UsageSnapshot"]


class Observer(StrEnum):
    """Who counted."""

    SDK = "sdk"
    SIDECAR = "sidecar"
    EVENTS = "events"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """What one series of an instance used so far."""

    key: SeriesKey
    counts: TokenCounts


@dataclass(frozen=True, slots=True)
class UsageSnapshot:
    """One instance's cumulative totals. Times are milliseconds since the epoch, UTC.

    ``totals`` is always whole; ``rows`` may lack the least-used series (the body of a snapshot is
    bounded), so the sum of the rows is at most ``totals``. ``instance_id`` is None in AgentSpec's
    dialect, where ``window_started_at`` names the window instead. ``upper_tokens`` is the upper
    bound where two observers could not be joined, ``via`` is "sidecar" where the instance's records
    travel through one.
    """

    totals: TokenCounts = ZERO
    rows: tuple[SeriesRow, ...] = ()
    instance_id: str | None = None
    observer: Observer = Observer.LEGACY
    seq: int | None = None
    window_started_at: int | None = None
    observed_at: int | None = None
    final: bool = False
    via: str | None = None
    invalid_calls: int = 0
    upper_tokens: int | None = None

    @property
    def rows_complete(self) -> bool:
        """Whether the rows account for every token and call of the totals."""
        return sum_counts(row.counts for row in self.rows) == self.totals


@dataclass(frozen=True, slots=True)
class UsageReading:
    """What one answer of one endpoint said: a snapshot an instance, at most 64.

    Several processes behind one port (pre-forked workers) are several instances; a new one is not a
    restart.
    """

    snapshots: tuple[UsageSnapshot, ...] = ()
