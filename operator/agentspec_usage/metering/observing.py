"""The checkpoint step: what a reading changes.

``observe`` is a join: observing a reading again, late, or in another order gives the same totals.
The doubts that a reading raises become sticky reasons, because a total that once lacked something
lacks it for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.metering.folding import bounded
from agentspec_usage.metering.meter import Meter, meter_from
from agentspec_usage.metering.snapshot import UsageReading, UsageSnapshot
from agentspec_usage.metering.state import (
    MAX_SOURCES,
    Checkpoint,
    LegacyKey,
    LiveInstance,
    PodIdentity,
    Sighting,
    Source,
    Tombstone,
)
from agentspec_usage.metering.windows import DrainedWindows

__all__ = ["choose_source", "needs_confirmation", "observe", "source_of"]

VIA_SIDECAR = "sidecar"


def choose_source(cp: Checkpoint, pod_uid: str, source: Source) -> Checkpoint:
    """Remember which endpoint of a pod is read. The first choice stays for the pod's life."""
    if pod_uid in cp.sources:
        return cp
    sources = {**cp.sources, pod_uid: source}
    if len(sources) > MAX_SOURCES:
        needed = {instance.pod.uid for instance in cp.live.values()}
        needed.update(tombstone.pod.uid for tombstone in cp.tombstones.values())
        needed.update(tombstone.pod.uid for tombstone in cp.spilled.values())
        needed.update(key.pod_uid for key in cp.legacy)
        spare = next((uid for uid in sources if uid not in needed), pod_uid)
        del sources[spare]
    return replace(cp, sources=sources)


def source_of(cp: Checkpoint, pod_uid: str) -> Source | None:
    """The endpoint chosen for a pod; None when none is yet."""
    return cp.sources.get(pod_uid)


def needs_confirmation(
    cp: Checkpoint, pod_uid: str, reading: UsageReading, container: str = ""
) -> bool:
    """Whether ``reading`` counts only once its address is confirmed to be still the pod's.

    Addresses are reused. A 128-bit instance id that is known for this pod is its own proof; one
    that is unknown could be the next owner's. What would not count anyway needs no proof.
    """
    return any(
        _is_unproved(cp, pod_uid, snapshot, container)
        for snapshot in reading.snapshots
        if not _is_counted_elsewhere(cp, pod_uid, snapshot)
    )


def observe(
    cp: Checkpoint, pod: PodIdentity, reading: UsageReading, at: int, container: str = ""
) -> Checkpoint:
    """The checkpoint after ``reading`` came from ``pod`` at ``at`` (ms).

    ``container`` tells apart the senders without instance ids in one pod. A reading that says
    nothing new changes only when its sender was last seen.
    """
    step = _Step(cp, pod, at)
    together = frozenset(snapshot.instance_id for snapshot in reading.snapshots)
    for snapshot in reading.snapshots:
        if _is_counted_elsewhere(cp, pod.uid, snapshot):
            continue
        if snapshot.instance_id is None:
            step.window(LegacyKey(pod.uid, container), snapshot)
        else:
            step.instance(snapshot.instance_id, snapshot, together)
    return step.result()


def _is_counted_elsewhere(cp: Checkpoint, pod_uid: str, snapshot: UsageSnapshot) -> bool:
    """Through the pod's sidecar, or in the pod in which the instance was met first."""
    if snapshot.via == VIA_SIDECAR and cp.sources.get(pod_uid) is Source.SIDECAR:
        return True
    if snapshot.instance_id is None:
        return False
    owner = _owner(cp, snapshot.instance_id)
    return owner is not None and owner != pod_uid


def _owner(cp: Checkpoint, instance_id: str) -> str | None:
    known = (
        cp.live.get(instance_id) or cp.tombstones.get(instance_id) or cp.spilled.get(instance_id)
    )
    return known.pod.uid if known is not None else None


def _is_unproved(cp: Checkpoint, pod_uid: str, snapshot: UsageSnapshot, container: str) -> bool:
    if snapshot.instance_id is not None:
        return _owner(cp, snapshot.instance_id) is None
    source = cp.legacy.get(LegacyKey(pod_uid, container))
    return bool(snapshot.totals) and (source is None or not source.knows(snapshot))


class _Step:
    """One observation in progress: copies a mapping when it first changes it."""

    def __init__(self, cp: Checkpoint, pod: PodIdentity, at: int) -> None:
        self._before = cp
        self._pod = pod
        self._at = at
        self._live = cp.live
        self._legacy = cp.legacy
        self._tombstones = cp.tombstones
        self._spilled = cp.spilled
        self._sightings = dict(cp.sightings)
        self._legacy_seen = cp.legacy_seen
        self._reasons: set[Reason] = set()
        self._excess = cp.retired_excess
        self._started_at = cp.started_at

    def instance(
        self, instance_id: str, snapshot: UsageSnapshot, together: frozenset[str | None]
    ) -> None:
        known = self._live.get(instance_id)
        if known is None:
            known = self._returned(instance_id, snapshot) or self._met(snapshot, together)
            now = known
        else:
            now = known
            meter = known.meter.advance(snapshot)
            if meter is not known.meter:
                now = replace(now, meter=meter)
            self._check_regression(instance_id, known, snapshot)
        if snapshot.final and not now.final:
            now = replace(now, final=True)
        if snapshot.upper_tokens is not None and snapshot.upper_tokens > now.upper:
            now = replace(now, upper=min(snapshot.upper_tokens, MAX_COUNT))
        if self._live.get(instance_id) is not now:
            self._live = {**self._live, instance_id: now}
        self._sight(instance_id, snapshot)
        if snapshot.invalid_calls:
            self._reasons.add(Reason.INVALID_USAGE)
        self._starts(snapshot)

    def window(self, key: LegacyKey, snapshot: UsageSnapshot) -> None:
        if key in self._before.closed:
            return
        known = self._legacy.get(key)
        if known is None:
            forgotten = self._before.forgot(self._pod)
            known = DrainedWindows(
                self._pod.created_at, counted_until=self._at if forgotten else None
            )
        now = known.advance(snapshot)
        if now is not self._legacy.get(key) and now.open:
            self._legacy = {**self._legacy, key: now}
            self._reasons.add(Reason.LEGACY_SOURCE)
        if key in self._legacy:
            self._legacy_seen = {**self._legacy_seen, key: self._at}
            self._starts(snapshot)
        if snapshot.invalid_calls:
            self._reasons.add(Reason.INVALID_USAGE)

    def result(self) -> Checkpoint:
        reasons = self._before.reasons
        return bounded(
            replace(
                self._before,
                # A union makes a new set each time, and a fleet keeps one for every object.
                reasons=reasons if self._reasons <= reasons else reasons | self._reasons,
                started_at=self._started_at,
                retired_excess=self._excess,
                live=self._live,
                legacy=self._legacy,
                tombstones=self._tombstones,
                spilled=self._spilled,
                sightings=self._sightings,
                legacy_seen=self._legacy_seen,
            )
        )

    def _returned(self, instance_id: str, snapshot: UsageSnapshot) -> LiveInstance | None:
        """An instance that was retired: what its tombstone says is counted already."""
        for kept in (self._tombstones, self._spilled):
            tombstone = kept.get(instance_id)
            if tombstone is not None:
                break
        else:
            return None
        self._tombstones = _without(self._tombstones, instance_id)
        self._spilled = _without(self._spilled, instance_id)
        self._excess = max(self._excess - tombstone.excess, 0)
        return LiveInstance(
            tombstone.pod,
            meter_from(tombstone.last, snapshot),
            tombstone.final,
            tombstone.last.total + tombstone.excess if tombstone.excess else 0,
        )

    def _met(self, snapshot: UsageSnapshot, together: frozenset[str | None]) -> LiveInstance:
        """A new instance: counted from zero, unless it may be an old one that was forgotten."""
        if self._before.forgot(self._pod):
            # In an epoch that was opened after an edit, everything begins at what is seen: no
            # restart.
            if Reason.STATUS_TAMPERED not in self._before.reasons:
                self._reasons.add(Reason.AGENT_RESTARTED)
            return LiveInstance(self._pod, meter_from(snapshot.totals, snapshot))
        if self._is_restart(snapshot, together):
            self._reasons.add(Reason.AGENT_RESTARTED)
        return LiveInstance(self._pod, Meter().advance(snapshot))

    def _is_restart(self, snapshot: UsageSnapshot, together: frozenset[str | None]) -> bool:
        """Whether the instance follows another of its pod that ended without a word.

        It began after that one was last seen; what that one used in between is lost. Workers
        behind one port are met in turns too, but those that ran side by side began before the
        others were last seen.
        """
        start = snapshot.window_started_at
        if start is None:
            return False
        return any(
            other.pod.uid == self._pod.uid
            and not other.final
            and instance_id not in together
            and (seen := self._sightings.get(instance_id)) is not None
            and start > seen.at
            for instance_id, other in self._before.live.items()
        )

    def _check_regression(
        self, instance_id: str, known: LiveInstance, snapshot: UsageSnapshot
    ) -> None:
        """A counter that fell while its seq did not: a lower seq is only a stale copy."""
        seen = self._sightings.get(instance_id)
        seq = seen.seq if seen is not None else None
        if (seq is None) is not (snapshot.seq is None):
            return
        if seq is not None and snapshot.seq is not None and snapshot.seq < seq:
            return
        if not snapshot.totals.covers(known.meter.totals.last):
            self._reasons.add(Reason.COUNTER_REGRESSION)

    def _sight(self, instance_id: str, snapshot: UsageSnapshot) -> None:
        seen = self._sightings.get(instance_id)
        if seen is None:
            self._sightings[instance_id] = Sighting(self._at, snapshot.seq)
            return
        seqs = [seq for seq in (seen.seq, snapshot.seq) if seq is not None]
        self._sightings[instance_id] = Sighting(max(seen.at, self._at), max(seqs, default=None))

    def _starts(self, snapshot: UsageSnapshot) -> None:
        start = snapshot.window_started_at
        if start is not None and (self._started_at is None or start < self._started_at):
            self._started_at = start


def _without(mapping: Mapping[str, Tombstone], key: str) -> Mapping[str, Tombstone]:
    return {k: v for k, v in mapping.items() if k != key} if key in mapping else mapping
