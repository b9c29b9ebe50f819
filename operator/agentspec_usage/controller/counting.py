"""A reading becomes counts: observed, priced, and handed in, in one step without a pause.

Whatever brings a reading (a scrape, the last words of a container) comes through here, so that a
status, its cost and what the control plane hears are of the same readings.
"""

from __future__ import annotations

from agentspec_usage.controller.costs import Costs
from agentspec_usage.controller.observation_outbox import ObservationOutbox
from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.metering.checkpoint import (
    PodIdentity,
    Source,
    choose_source,
    observe,
    source_of,
    totals,
)
from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.runtime.clock import Clock

__all__ = ["Counting"]


class Counting:
    """Counts readings. ``outbox`` is None where there is no control plane."""

    def __init__(self, costs: Costs, clock: Clock, outbox: ObservationOutbox | None = None) -> None:
        self._costs = costs
        self._clock = clock
        self._outbox = outbox

    def add(
        self,
        record: ObservationRecord,
        pod: PodView,
        source: Source,
        reading: UsageReading,
        at: int,
        container: str = "",
    ) -> bool:
        """Count what ``pod`` said at ``at`` (ms); False where another source was chosen for it.

        ``container`` is the id of the present life of the container that answered.
        """
        before = record.checkpoint
        chosen = choose_source(before, pod.uid, source)
        if source_of(chosen, pod.uid) is not source:
            return False  # another operator chose the other one meanwhile: the two are never added
        identity = PodIdentity(pod.uid, pod.created_at)
        after = observe(chosen, identity, reading, at, container=container)
        record.checkpoint = self._costs.added(before, after, at, reading)
        grew = totals(after) != totals(before)
        if grew:
            record.last_update = self._clock.now()
        if self._outbox is not None:
            now = self._clock.monotonic()
            self._outbox.saw(record, pod.uid, container, reading, grew=grew, now=now, at=at)
        return True
