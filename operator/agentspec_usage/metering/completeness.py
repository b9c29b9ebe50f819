"""How far a number can be trusted, and why not further.

A number is as good as the worst of its parts. The reasons are a closed list: they appear in
conditions and metrics, where a stranger's text or an unbounded set must never come.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

__all__ = ["SEVERITY", "Completeness", "Reason", "completeness_of"]


class Completeness(StrEnum):
    """From best to worst; the order of ``SEVERITY``."""

    EXACT = "Exact"
    LOWER_BOUND = "LowerBound"
    ESTIMATED = "Estimated"
    STALE = "Stale"
    UNKNOWN = "Unknown"


SEVERITY: tuple[Completeness, ...] = tuple(Completeness)


class Reason(StrEnum):
    """Everything that can make a number less than exact."""

    AGENT_RESTARTED = "AgentRestarted"
    CLOCK_SKEW = "ClockSkew"
    COARSE_TIME = "CoarseTime"
    COUNTER_REGRESSION = "CounterRegression"
    INVALID_USAGE = "InvalidUsage"
    LEGACY_SOURCE = "LegacySource"
    OBSERVERS_UNJOINED = "ObserversUnjoined"
    OVERLAPPING = "Overlapping"
    POD_EXITED_UNSCRAPED = "PodExitedUnscraped"
    PODS_MISSING = "PodsMissing"
    RING_OVERFLOW = "RingOverflow"
    SATURATED = "Saturated"
    SCRAPE_FAILED = "ScrapeFailed"
    STATUS_TAMPERED = "StatusTampered"
    STORE_ROLLED_BACK = "StoreRolledBack"
    TRUNCATED = "Truncated"
    UNMETERED_CALLS = "UnmeteredCalls"
    UNPRICED = "Unpriced"


_MEANS: dict[Reason, Completeness] = {
    Reason.AGENT_RESTARTED: Completeness.LOWER_BOUND,
    Reason.CLOCK_SKEW: Completeness.EXACT,
    Reason.COARSE_TIME: Completeness.EXACT,
    Reason.COUNTER_REGRESSION: Completeness.LOWER_BOUND,
    Reason.INVALID_USAGE: Completeness.LOWER_BOUND,
    Reason.LEGACY_SOURCE: Completeness.ESTIMATED,
    Reason.OBSERVERS_UNJOINED: Completeness.LOWER_BOUND,
    Reason.OVERLAPPING: Completeness.LOWER_BOUND,
    Reason.POD_EXITED_UNSCRAPED: Completeness.LOWER_BOUND,
    Reason.PODS_MISSING: Completeness.STALE,
    Reason.RING_OVERFLOW: Completeness.EXACT,
    Reason.SATURATED: Completeness.LOWER_BOUND,
    Reason.SCRAPE_FAILED: Completeness.STALE,
    Reason.STATUS_TAMPERED: Completeness.LOWER_BOUND,
    Reason.STORE_ROLLED_BACK: Completeness.ESTIMATED,
    Reason.TRUNCATED: Completeness.EXACT,
    Reason.UNMETERED_CALLS: Completeness.LOWER_BOUND,
    Reason.UNPRICED: Completeness.EXACT,
}
"""What each reason makes of a token total. Lost detail (time, a model's name, a price) leaves the
total exact."""


def completeness_of(reasons: Iterable[Reason]) -> Completeness:
    """The worst that any of ``reasons`` means; ``Exact`` of none."""
    return max(
        (_MEANS[reason] for reason in reasons), key=SEVERITY.index, default=Completeness.EXACT
    )
