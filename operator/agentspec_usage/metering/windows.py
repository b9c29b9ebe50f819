"""AgentSpec's drained windows: totals of a source that has no instance id.

Such a sender starts a window, counts in it, and starts another after somebody drained it. Windows
are told apart by their start: of each the component-wise maximum counts, and windows add. That is
sound where Prometheus' "add after a drop" is not: two workers behind one port that alternate 100,
40, 105, 41 would be counted without bound. A number from here is an estimate all the same: what was
used between the last reading and the drain is never seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentspec_usage.metering.meter import Meter, meter_from
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.metering.tally import EMPTY, Tally

__all__ = ["MAX_OPEN_WINDOWS", "DrainedWindows"]

MAX_OPEN_WINDOWS = 64
"""The newest windows stay open to late readings; older ones are summed."""


@dataclass(frozen=True, slots=True)
class DrainedWindows:
    """What one source sent. ``created_at`` is its pod's creation, in ms.

    ``open`` is keyed by a window's start, ``None`` for a sender that does not name it. Windows that
    started until ``counted_until`` may be in the totals already and begin at what is seen
    (``Checkpoint.forgotten_until``).
    """

    created_at: int
    open: Mapping[int | None, Meter] = field(default_factory=dict)
    retired: Tally = EMPTY
    retired_until: int | None = None
    counted_until: int | None = None

    def knows(self, snapshot: UsageSnapshot) -> bool:
        """Whether ``snapshot`` proves by itself that it comes from this source.

        A start in milliseconds that was seen before is taken as proof; a sender without starts
        proves only what changes nothing.
        """
        window = self.open.get(snapshot.window_started_at)
        if window is None:
            return False
        return snapshot.window_started_at is not None or window.totals.last.covers(snapshot.totals)

    def advance(self, snapshot: UsageSnapshot) -> DrainedWindows:
        """The windows after reading ``snapshot``; itself when it tells nothing new."""
        start = snapshot.window_started_at
        known = self.open.get(start)
        if known is None:
            if not snapshot.totals or self._is_over(start):
                return self
            if self._may_be_counted(start):
                known = meter_from(snapshot.totals, snapshot)
            else:
                known = Meter().advance(snapshot)
        else:
            advanced = known.advance(snapshot)
            if advanced is known:
                return self
            known = advanced
        return self.with_open({**self.open, start: known}).retiring(MAX_OPEN_WINDOWS)

    def with_open(self, windows: Mapping[int | None, Meter]) -> DrainedWindows:
        """The same source with other open windows."""
        return DrainedWindows(
            self.created_at, windows, self.retired, self.retired_until, self.counted_until
        )

    def retiring(self, keep: int) -> DrainedWindows:
        """With at most the ``keep`` newest windows open; the older ones are summed for good."""
        starts = sorted(start for start in self.open if start is not None)
        if len(starts) <= keep:
            return self
        over = starts[: len(starts) - keep]
        retired = self.retired
        for start in over:
            retired += self.open[start].used()
        windows = {start: meter for start, meter in self.open.items() if start not in over}
        return DrainedWindows(self.created_at, windows, retired, over[-1], self.counted_until)

    def used(self) -> Tally:
        """The sum over all windows."""
        used = self.retired
        for meter in self.open.values():
            used += meter.used()
        return used

    def _is_over(self, start: int | None) -> bool:
        return start is not None and self.retired_until is not None and start <= self.retired_until

    def _may_be_counted(self, start: int | None) -> bool:
        return self.counted_until is not None and (start is None or start <= self.counted_until)
