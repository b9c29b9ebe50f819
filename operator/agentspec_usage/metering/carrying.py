"""Taking over a state that somebody else wrote, and starting over.

After a conflict the other writer's state is the truth of the object, but this process may have seen
more. Everything that it saw is a cumulative reading of an instance, and a reading can be observed
again on top of any state: what their state knows of the instance is joined, what it retired adds
only growth, what it never met counts from zero, and what it may have forgotten begins at what is
seen. So nothing is counted twice and nothing that was seen is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.meter import Meter
from agentspec_usage.metering.observing import choose_source, observe
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.metering.state import (
    Checkpoint,
    LegacyKey,
    PodIdentity,
    Source,
    new_checkpoint,
)
from agentspec_usage.metering.windows import DrainedWindows

__all__ = ["carry_over", "restart_epoch"]


def carry_over(theirs: Checkpoint, ours: Checkpoint, at: int) -> Checkpoint:
    """Their state with everything that ours saw, observed again at ``at`` (ms).

    Their choice of a pod's source stands: what we read from the other endpoint of that pod is left
    out, because both endpoints tell of the same calls.
    """
    cp = theirs
    for uid, source in ours.sources.items():
        cp = choose_source(cp, uid, source)
    agreed = _Agreement(cp.sources, ours.sources)
    for instance_id, tombstone in ours.tombstones.items():
        if agreed.on(tombstone.pod.uid) and not _covers(cp, instance_id, tombstone.last):
            snapshot = UsageSnapshot(
                tombstone.last,
                instance_id=instance_id,
                final=tombstone.final,
                upper_tokens=tombstone.last.total + tombstone.excess,
            )
            cp = _again(cp, tombstone.pod, snapshot, at)
    for instance_id, instance in ours.live.items():
        if agreed.on(instance.pod.uid):
            seen = ours.sightings.get(instance_id)
            snapshot = UsageSnapshot(
                instance.meter.totals.last,
                _rows(instance.meter),
                instance_id=instance_id,
                final=instance.final,
                upper_tokens=instance.upper,
            )
            cp = _again(cp, instance.pod, snapshot, seen.at if seen is not None else at)
    for key, windows in ours.legacy.items():
        if agreed.on(key.pod_uid):
            cp = _with_windows(cp, key, windows, at)
    if ours.epoch == theirs.epoch:
        starts = [start for start in (cp.started_at, ours.started_at) if start is not None]
        cp = replace(cp, reasons=cp.reasons | ours.reasons, started_at=min(starts, default=None))
    return cp


def restart_epoch(
    epoch: str,
    pods: Iterable[PodIdentity],
    *,
    reason: Reason = Reason.STATUS_TAMPERED,
    sources: Mapping[str, Source] | None = None,
) -> Checkpoint:
    """A new epoch in which what the pods that exist used so far does not count.

    Every source in a pod created no later than the newest of ``pods`` begins at what is seen first;
    later pods count from zero. The bound is the API server's own clock on both sides.
    """
    until = max((pod.created_at for pod in pods), default=None)
    return replace(
        new_checkpoint(epoch),
        reasons=frozenset({reason}),
        sources=dict(sources or {}),
        lost_until=until,
        forgotten_until=until,
    )


class _Agreement:
    """Which pods both sides read at the same endpoint, as far as both chose one."""

    def __init__(self, theirs: Mapping[str, Source], ours: Mapping[str, Source]) -> None:
        self._theirs = theirs
        self._ours = ours

    def on(self, pod_uid: str) -> bool:
        ours = self._ours.get(pod_uid)
        return ours is None or self._theirs.get(pod_uid, ours) is ours


def _covers(cp: Checkpoint, instance_id: str, seen: TokenCounts) -> bool:
    known = cp.live.get(instance_id)
    if known is not None:
        return known.meter.totals.last.covers(seen)
    tombstone = cp.tombstones.get(instance_id)
    return tombstone is not None and tombstone.last.covers(seen)


def _again(cp: Checkpoint, pod: PodIdentity, snapshot: UsageSnapshot, at: int) -> Checkpoint:
    """Observe what was seen once more; that another process saw more since is no regression."""
    known = cp.live.get(snapshot.instance_id or "")
    if known is not None:
        snapshot = replace(snapshot, totals=snapshot.totals.join(known.meter.totals.last))
    return observe(cp, pod, UsageReading((snapshot,)), at)


def _with_windows(cp: Checkpoint, key: LegacyKey, windows: DrainedWindows, at: int) -> Checkpoint:
    pod = PodIdentity(key.pod_uid, windows.created_at)
    if key not in cp.legacy and key not in cp.closed and not cp.forgot(pod):
        return replace(
            cp,
            legacy={**cp.legacy, key: windows},
            legacy_seen={**cp.legacy_seen, key: at},
            reasons=cp.reasons | {Reason.LEGACY_SOURCE},
        )
    for start, meter in windows.open.items():
        snapshot = UsageSnapshot(meter.totals.last, _rows(meter), window_started_at=start)
        cp = observe(cp, pod, UsageReading((snapshot,)), at, key.container)
    return cp


def _rows(meter: Meter) -> tuple[SeriesRow, ...]:
    """What was seen, by series where these are known to be all of it."""
    rows = []
    for model, span in meter.models.items():
        series = [
            SeriesRow(key, counts)
            for key, counts in meter.series.items()
            if (key.provider, key.model) == model
        ]
        if sum_counts(row.counts for row in series) != span.last:
            series = [SeriesRow(SeriesKey(provider=model.provider, model=model.model), span.last)]
        rows += series
    return tuple(rows)
