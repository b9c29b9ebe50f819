"""What a checkpoint says: its totals, its models, its doubts, and whether it says anything new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.models import MODEL_ROWS, ModelKey, ModelUsage, rank
from agentspec_usage.metering.state import Checkpoint, PodIdentity
from agentspec_usage.metering.windows import DrainedWindows

__all__ = [
    "InstanceView",
    "instances",
    "model_usage",
    "pods",
    "reasons",
    "same_numbers",
    "totals",
    "upper_tokens",
    "window_started_at",
]


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One live instance. ``seen_at`` is when it was last seen, in ms."""

    id: str
    pod: PodIdentity
    last: TokenCounts
    final: bool
    seen_at: int


def totals(cp: Checkpoint) -> TokenCounts:
    """Everything that was counted: retired, live and legacy. It never falls within an epoch."""
    parts = [cp.retired.totals]
    parts.extend(instance.meter.totals.used for instance in cp.live.values())
    for windows in cp.legacy.values():
        parts.append(windows.retired.totals)
        parts.extend(meter.totals.used for meter in windows.open.values())
    return sum_counts(parts)


def upper_tokens(cp: Checkpoint) -> int | None:
    """The most tokens that it can be, where observers could not be joined; else None."""
    excess = cp.retired_excess + sum(instance.excess for instance in cp.live.values())
    return min(totals(cp).total + excess, MAX_COUNT) if excess else None


def model_usage(cp: Checkpoint, limit: int = MODEL_ROWS) -> tuple[ModelUsage, ...]:
    """Rows that sum to the totals: the most used models, then other, then unattributed."""
    return rank(_cells(cp), totals(cp), limit)


def reasons(cp: Checkpoint) -> frozenset[Reason]:
    """Why the totals may not be exact: what happened once, and what the numbers themselves show."""
    found = set(cp.reasons)
    whole = totals(cp)
    if whole.saturated:
        found.add(Reason.SATURATED)
    if whole.unmetered_calls:
        found.add(Reason.UNMETERED_CALLS)
    if upper_tokens(cp) is not None:
        found.add(Reason.OBSERVERS_UNJOINED)
    if not sum_counts(_cells(cp).values()).covers(whole):
        found.add(Reason.TRUNCATED)
    return frozenset(found)


def instances(cp: Checkpoint) -> tuple[InstanceView, ...]:
    """The live instances, in the order in which they were met."""
    views = []
    for instance_id, instance in cp.live.items():
        seen = cp.sightings.get(instance_id)
        views.append(
            InstanceView(
                instance_id,
                instance.pod,
                instance.meter.totals.last,
                instance.final,
                seen.at if seen is not None else 0,
            )
        )
    return tuple(views)


def pods(cp: Checkpoint) -> set[str]:
    """The uids of the pods that a fold waits for: with a chosen source, or live numbers."""
    uids = set(cp.sources)
    uids.update(instance.pod.uid for instance in cp.live.values())
    uids.update(key.pod_uid for key in cp.legacy)
    return uids


def window_started_at(cp: Checkpoint) -> int | None:
    """The earliest start that any source named, in ms."""
    return cp.started_at


def same_numbers(a: Checkpoint, b: Checkpoint) -> bool:
    """Whether writing ``b`` where ``a`` is written would tell a later reader nothing.

    Where an instance is kept (live, as a tombstone) is not a number: an object with more instances
    than a state holds moves them at every reading, and must not write for it.
    """
    if a == b:
        return True
    return (
        a.epoch == b.epoch
        and a.started_at == b.started_at
        and a.sources == b.sources
        and _known(a) == _known(b)
        and _windows(a) == _windows(b)
        and a.closed.keys() == b.closed.keys()
        and totals(a) == totals(b)
        and upper_tokens(a) == upper_tokens(b)
        and reasons(a) == reasons(b)
        and _cells(a) == _cells(b)
    )


def _cells(cp: Checkpoint) -> dict[ModelKey, TokenCounts]:
    parts: dict[ModelKey, list[TokenCounts]] = {}

    def add(cells: Mapping[ModelKey, TokenCounts]) -> None:
        for key, counts in cells.items():
            parts.setdefault(key, []).append(counts)

    add(cp.retired.models)
    for instance in cp.live.values():
        add(instance.meter.used().models)
    for windows in cp.legacy.values():
        add(windows.used().models)
    return {
        key: counts[0] if len(counts) == 1 else sum_counts(counts) for key, counts in parts.items()
    }


def _known(cp: Checkpoint) -> dict[str, tuple[PodIdentity, TokenCounts, bool]]:
    known = {
        instance_id: (tombstone.pod, tombstone.last, tombstone.final)
        for kept in (cp.spilled, cp.tombstones)
        for instance_id, tombstone in kept.items()
    }
    for instance_id, instance in cp.live.items():
        known[instance_id] = (instance.pod, instance.meter.totals.last, instance.final)
    return known


def _windows(cp: Checkpoint) -> dict[tuple[str, str], dict[int | None, TokenCounts]]:
    return {key: _lasts(windows) for key, windows in cp.legacy.items()}


def _lasts(windows: DrainedWindows) -> dict[int | None, TokenCounts]:
    return {start: meter.totals.last for start, meter in windows.open.items()}
