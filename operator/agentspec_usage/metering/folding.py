"""The fold: what ended becomes part of the retired sum, and leaves a tombstone.

A fold moves a number, it never changes one. It is irreversible, so it is done only for pods that
fresh readings of the API server show to be gone or ended, and its tombstone makes even a mistaken
fold harmless: an instance that returns adds only what it grew since.

The same move keeps the state small. Past a bound the instance that is least likely to grow is
folded: the longest unseen of those that said they ended, then the longest unseen of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.metering.state import (
    MAX_LEGACY,
    MAX_LIVE,
    MAX_SPILLED,
    MAX_TOMBSTONES,
    Checkpoint,
    LegacyKey,
    PodIdentity,
    Tombstone,
)

__all__ = [
    "bounded",
    "fold",
    "fold_instances",
    "fold_legacy",
    "forget_legacy",
    "least_needed",
    "longest_unseen_legacy",
    "with_tombstones_within",
]


def fold(cp: Checkpoint, pod_uids: Iterable[str], *, unread: Iterable[str] = ()) -> Checkpoint:
    """The checkpoint after these pods ended or are gone for certain.

    ``unread`` are those of which nothing was ever read though they ran: what they used is unknown.
    A pod whose instance did not say that it ended has used an unknown rest as well.
    """
    gone = frozenset(pod_uids)
    reasons = set(cp.reasons)
    if any(True for _ in unread):
        reasons.add(Reason.POD_EXITED_UNSCRAPED)
    instances = [key for key, instance in cp.live.items() if instance.pod.uid in gone]
    legacy = [key for key in cp.legacy if key.pod_uid in gone]
    if legacy or any(not cp.live[key].final for key in instances):
        reasons.add(Reason.POD_EXITED_UNSCRAPED)
    closed = dict(cp.closed)
    for key in legacy:
        closed[key] = PodIdentity(key.pod_uid, cp.legacy[key].created_at)
    folded = fold_legacy(fold_instances(cp, instances), legacy)
    sources = {uid: source for uid, source in cp.sources.items() if uid not in gone}
    return bounded(replace(folded, reasons=frozenset(reasons), closed=closed, sources=sources))


def bounded(cp: Checkpoint) -> Checkpoint:
    """The same numbers in a state within every bound."""
    if len(cp.live) > MAX_LIVE:
        cp = fold_instances(cp, least_needed(cp, len(cp.live) - MAX_LIVE))
    if len(cp.legacy) > MAX_LEGACY:
        cp = forget_legacy(cp, longest_unseen_legacy(cp, len(cp.legacy) - MAX_LEGACY))
    if len(cp.tombstones) + len(cp.closed) > MAX_TOMBSTONES:
        cp = with_tombstones_within(cp, MAX_TOMBSTONES)
    return cp


def fold_instances(cp: Checkpoint, instance_ids: Iterable[str]) -> Checkpoint:
    """Move instances into the retired sum, leaving tombstones."""
    ids = list(instance_ids)
    if not ids:
        return cp
    live = dict(cp.live)
    tombstones = dict(cp.tombstones)
    sightings = dict(cp.sightings)
    retired = cp.retired
    excess = cp.retired_excess
    for instance_id in ids:
        instance = live.pop(instance_id)
        sightings.pop(instance_id, None)
        retired += instance.meter.used()
        excess += instance.excess
        tombstones[instance_id] = Tombstone(
            instance.pod, instance.meter.totals.last, instance.final, instance.excess
        )
    return replace(
        cp,
        retired=retired,
        retired_excess=min(excess, MAX_COUNT),
        live=live,
        tombstones=tombstones,
        sightings=sightings,
    )


def fold_legacy(cp: Checkpoint, keys: Iterable[LegacyKey]) -> Checkpoint:
    """Move sources without instance ids into the retired sum, without a trace of their own."""
    keys = list(keys)
    if not keys:
        return cp
    legacy = dict(cp.legacy)
    seen = dict(cp.legacy_seen)
    retired = cp.retired
    for key in keys:
        retired += legacy.pop(key).used()
        seen.pop(key, None)
    return replace(cp, retired=retired, legacy=legacy, legacy_seen=seen)


def forget_legacy(cp: Checkpoint, keys: Iterable[LegacyKey]) -> Checkpoint:
    """Fold sources that still send: their return begins at what is seen."""
    keys = list(keys)
    if not keys:
        return cp
    until = max(cp.legacy[key].created_at for key in keys)
    folded = fold_legacy(cp, keys)
    return replace(
        folded,
        lost_until=_later(cp.lost_until, until),
        forgotten_until=_later(cp.forgotten_until, until),
    )


def least_needed(cp: Checkpoint, count: int) -> list[str]:
    """The instances to fold first when there are too many."""

    def need(instance_id: str) -> tuple[bool, int]:
        seen = cp.sightings.get(instance_id)
        return not cp.live[instance_id].final, seen.at if seen is not None else 0

    return sorted(cp.live, key=need)[:count]


def longest_unseen_legacy(cp: Checkpoint, count: int) -> list[LegacyKey]:
    """The sources without instance ids to fold first when there are too many."""
    return sorted(cp.legacy, key=lambda key: cp.legacy_seen.get(key, 0))[:count]


def with_tombstones_within(cp: Checkpoint, limit: int) -> Checkpoint:
    """At most ``limit`` tombstones; the oldest are given up, of dormant pods first.

    A pod that nothing is read from any more is the least likely to bring an instance back.
    Instances' tombstones stay with this process (``spilled``); the written state says only until
    when it does not know.
    """
    over = len(cp.tombstones) + len(cp.closed) - limit
    if over <= 0:
        return cp
    closed = list(islice(cp.closed, over))
    alive = {instance.pod.uid for instance in cp.live.values()}
    order = sorted(cp.tombstones, key=lambda key: cp.tombstones[key].pod.uid in alive)
    given_up = order[: over - len(closed)]
    spilled = {**cp.spilled, **{key: cp.tombstones[key] for key in given_up}}
    forgotten = [cp.closed[key].created_at for key in closed]
    for key in list(islice(spilled, max(len(spilled) - MAX_SPILLED, 0))):
        forgotten.append(spilled.pop(key).pod.created_at)
    lost = [*forgotten, *(cp.tombstones[key].pod.created_at for key in given_up)]
    return replace(
        cp,
        tombstones={k: v for k, v in cp.tombstones.items() if k not in set(given_up)},
        closed={k: v for k, v in cp.closed.items() if k not in set(closed)},
        spilled=spilled,
        lost_until=_later(cp.lost_until, *lost),
        forgotten_until=_later(cp.forgotten_until, *forgotten),
    )


def _later(known: int | None, *times: int) -> int | None:
    return max((time for time in (known, *times) if time is not None), default=None)
