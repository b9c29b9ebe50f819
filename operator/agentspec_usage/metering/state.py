"""The checkpoint as a value: what the operator must remember of an object's usage, and no more.

    totals = retired + Σ live instances (last - base) + Σ legacy sources

All fields are immutable by agreement (mappings are copied on write). What is *volatile*, and
therefore neither compared nor written, is marked: it helps this process to decide, and losing it
makes no number wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.meter import Meter
from agentspec_usage.metering.tally import EMPTY, Tally
from agentspec_usage.metering.windows import DrainedWindows

__all__ = [
    "MAX_EPOCH",
    "MAX_LEGACY",
    "MAX_LIVE",
    "MAX_SOURCES",
    "MAX_SPILLED",
    "MAX_TOMBSTONES",
    "NO_COST",
    "AccruedCost",
    "Checkpoint",
    "LegacyKey",
    "LiveInstance",
    "PodIdentity",
    "Sighting",
    "Source",
    "Tombstone",
    "new_checkpoint",
]

MAX_LIVE = 64
"""Live instances in one state: their totals alone, packed, take 5 kB of the 8 that a status has
room for."""

MAX_TOMBSTONES = 64
"""Retired instances that a state remembers, so that their return adds only growth."""

MAX_SPILLED = 4096
"""Tombstones beyond those, kept in memory alone; 0.5 kB each."""

MAX_LEGACY = 256
"""Sources without instance ids in one state; they have no tombstones to come back from, so more are
kept live."""

MAX_SOURCES = 1024
"""Pods whose choice of source is remembered before anything was read from them."""

MAX_EPOCH = 128
"""Characters of an epoch's name."""


_EMPTY_MAPPING: Mapping[Any, Any] = MappingProxyType({})


def _none() -> Mapping[Any, Any]:
    """The empty mapping, one for all: a fleet of checkpoints is mostly made of them."""
    return _EMPTY_MAPPING


class PodIdentity(NamedTuple):
    """A pod as Kubernetes asserts it; ``created_at`` in ms by the API server's clock."""

    uid: str
    created_at: int


class LegacyKey(NamedTuple):
    """Who sends without an instance id: a container of a pod."""

    pod_uid: str
    container: str


class Source(StrEnum):
    """Which of a pod's two endpoints is read; chosen once and kept for the pod's life."""

    AGENT = "agent"
    SIDECAR = "sidecar"


@dataclass(frozen=True, slots=True)
class LiveInstance:
    """An instance that may still grow. ``upper`` is the highest upper bound it named, in tokens."""

    pod: PodIdentity
    meter: Meter
    final: bool = False
    upper: int = 0

    @property
    def excess(self) -> int:
        """Tokens between its totals and its upper bound."""
        return max(self.upper - self.meter.totals.last.total, 0)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A retired instance: what of it is in the totals."""

    pod: PodIdentity
    last: TokenCounts
    final: bool = False
    excess: int = 0


class Sighting(NamedTuple):
    """When an instance was last seen (ms) and the highest seq it showed."""

    at: int
    seq: int | None


@dataclass(frozen=True, slots=True)
class AccruedCost:
    """What the growth cost when it was seen, in 10^-12 of a currency; ``tokens`` of it had a price.

    A running sum, because a price is in force for a time: the same counts a month later would cost
    something else. What ``tokens`` lacks of the totals is unpriced, for whatever reason.
    """

    currency: str = ""
    pico: int = 0
    tokens: int = 0


NO_COST = AccruedCost()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of one object; see the module.

    ``lost_until`` says that a tombstone of a pod created at that time or before was given up:
    whoever reads the written state must assume that any unknown instance of such a pod may be in
    the totals already. This process knows better as long as it holds the tombstone in ``spilled``;
    ``forgotten_until`` is the same bound for what it does not hold.
    """

    epoch: str
    reasons: frozenset[Reason] = frozenset()
    started_at: int | None = None
    retired: Tally = EMPTY
    retired_excess: int = 0
    live: Mapping[str, LiveInstance] = field(default_factory=_none)
    legacy: Mapping[LegacyKey, DrainedWindows] = field(default_factory=_none)
    tombstones: Mapping[str, Tombstone] = field(default_factory=_none)
    closed: Mapping[LegacyKey, PodIdentity] = field(default_factory=_none)
    sources: Mapping[str, Source] = field(default_factory=_none)
    lost_until: int | None = None
    cost: AccruedCost = NO_COST
    # Volatile.
    forgotten_until: int | None = field(default=None, compare=False)
    spilled: Mapping[str, Tombstone] = field(default_factory=_none, compare=False)
    sightings: Mapping[str, Sighting] = field(default_factory=_none, compare=False)
    legacy_seen: Mapping[LegacyKey, int] = field(default_factory=_none, compare=False)

    def forgot(self, pod: PodIdentity) -> bool:
        """Whether an unknown source in ``pod`` may have been counted before."""
        return self.forgotten_until is not None and pod.created_at <= self.forgotten_until


def new_checkpoint(epoch: str) -> Checkpoint:
    """The state of an object of which nothing was read yet, in the epoch so named."""
    if not (0 < len(epoch) <= MAX_EPOCH and epoch.isascii() and epoch.isprintable()):
        raise UsageError(
            f"accounting epoch {epoch!r}: expected 1 to {MAX_EPOCH} printable ASCII characters"
        )
    return Checkpoint(epoch)
