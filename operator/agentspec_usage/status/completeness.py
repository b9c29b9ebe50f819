"""The condition Complete: what is known to be missing, or to be uncertain, in words.

One doubt is named, the worst; ``status.usage.reasons`` has all of them.
"""

from __future__ import annotations

from agentspec_usage.metering.completeness import SEVERITY, Reason, completeness_of
from agentspec_usage.status.conditions import Condition

__all__ = ["OVERLAPPING", "complete"]

OVERLAPPING = "An older AgentObservation reads the same pods; they are counted there alone."


def complete(doubts: frozenset[Reason], known: bool) -> Condition:
    """Whether the totals are exact, else the worst doubt (of equals the first by name)."""
    if not known:
        return Condition("Complete", "Unknown", "NotScrapedYet", "No usage has been read yet.")
    doubtful = [reason for reason in doubts if completeness_of([reason]) != SEVERITY[0]]
    if not doubtful:
        return Condition("Complete", "True", "Exact", "Every token that is known was counted once.")
    worst = min(doubtful, key=_urgency)
    return Condition("Complete", "False", worst.value, _DOUBTS[worst])


def _urgency(reason: Reason) -> tuple[int, bool, str]:
    """The order of doubts: the severest first, and of equals an edit by hand, which alone names its
    epoch.
    """
    severity = SEVERITY.index(completeness_of([reason]))
    return (-severity, reason is not Reason.STATUS_TAMPERED, reason.value)


_DOUBTS: dict[Reason, str] = {
    Reason.AGENT_RESTARTED: "An agent process ended without its final count; its last use is lost.",
    Reason.CLOCK_SKEW: "An agent's clock is wrong; its usage was dated by the time of its arrival.",
    Reason.COARSE_TIME: "Usage was merged into coarser times.",
    Reason.COUNTER_REGRESSION: "An agent's counter went backwards; the highest value is kept.",
    Reason.INVALID_USAGE: "An agent reported calls whose usage was no valid number.",
    Reason.LEGACY_SOURCE: "An agent speaks AgentSpec's own dialect, which names no instance.",
    Reason.OBSERVERS_UNJOINED: "Two observers could not be joined; upperTokens is the bound.",
    Reason.OVERLAPPING: OVERLAPPING,
    Reason.POD_EXITED_UNSCRAPED: "A pod ended without its final count; its last use is missing.",
    Reason.PODS_MISSING: "Some pods have not been read.",
    Reason.RING_OVERFLOW: "A sidecar's ring overflowed; details are missing.",
    Reason.SATURATED: "A counter reached its bound.",
    Reason.SCRAPE_FAILED: "A pod cannot be read; its growth is missing until it can.",
    Reason.STATUS_TAMPERED: "The status was changed by somebody else; a new epoch was opened.",
    Reason.STORE_ROLLED_BACK: "A store went back in time.",
    Reason.TRUNCATED: "There are more models than are kept apart.",
    Reason.UNMETERED_CALLS: "Some calls answered without usage; see coverage.",
    Reason.UNPRICED: "Some usage has no price.",
}
