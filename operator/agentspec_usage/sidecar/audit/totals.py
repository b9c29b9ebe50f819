"""What model events say was used: counted beside the ring, and handed to the pod's ledger.

Events tell of calls that the proxy or an SDK may have seen too, and nothing in them says which. So
they join the pod's ledger as totals of an observer of their own, never as calls.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.calls import TotalsSink

__all__ = ["EventTotals"]


class EventTotals:
    """``instance_id`` is this process's: after a restart events begin another count, which the
    ledger adds to what it kept of the earlier one.
    """

    def __init__(self, sink: TotalsSink, clock: Clock, instance_id: str) -> None:
        self._sink = sink
        self._clock = clock
        self._ledger = Ledger(instance_id, clock.now(), Observer.EVENTS)

    def add(self, used: Iterable[tuple[SeriesKey, TokenCounts]]) -> None:
        """Count the calls, and show the ledger the new totals."""
        counted = [self._ledger.record(series, counts) for series, counts in used]
        if counted:
            self._sink.see(self._ledger.snapshot(self._clock.now()))
