"""A cursor: one reader's window over cumulative totals.

Readers that want differences (a receiver of AgentSpec's windows, ``snapshot(reset=True)``) each
hold a cursor of their own, so nothing that one does changes what another sees, and the totals stay
whole. A window is peeked, sent, and only then passed: what was not delivered is in the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.metering.counts import ZERO
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot

__all__ = ["Cursor"]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a reader stands: after ``passed``, or at the beginning."""

    passed: UsageSnapshot | None = None

    def peek(self, now: UsageSnapshot) -> UsageSnapshot:
        """The window from where the reader stands to ``now``, in AgentSpec's dialect.

        Of another instance than was passed (a fork, a restart) the window is everything.
        """
        since = self.passed
        if since is None or since.instance_id != now.instance_id:
            since = UsageSnapshot(observed_at=now.window_started_at)
        passed = {row.key: row.counts for row in since.rows}
        rows = tuple(
            SeriesRow(row.key, used)
            for row in now.rows
            if (used := row.counts.increase_since(passed.get(row.key, ZERO)))
        )
        return UsageSnapshot(
            totals=now.totals.increase_since(since.totals),
            rows=rows,
            observer=Observer.LEGACY,
            window_started_at=since.observed_at,
            observed_at=now.observed_at,
        )

    def advanced(self, shipped: UsageSnapshot) -> Cursor:
        """The cursor after ``shipped`` arrived: exactly what was shipped is passed, and no more.

        An acknowledgement that comes late never moves it back.
        """
        passed = self.passed
        if (
            passed is not None
            and passed.instance_id == shipped.instance_id
            and passed.totals.covers(shipped.totals)
        ):
            return self
        return Cursor(shipped)
