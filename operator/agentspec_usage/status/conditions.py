"""Conditions exactly as metav1.Condition, and the rule for when their transition time moves.

Three cases, as in cert-manager's ``SetCondition``: a new condition transitions now; one whose
status changed transitions now; one whose status stayed keeps its transition time, whatever else
changed. A message has no volatile text (no latency, no counter, no time), so a condition that says
the same is the same and causes no write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Condition", "ConditionStatus", "condition_status", "next_conditions"]

ConditionStatus = Literal["True", "False", "Unknown"]

_MAX_CONDITIONS, _MAX_MESSAGE = 8, 1024
"""The bounds of the CRD."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A fact about an object: what holds now. The time of its transition is ``next_conditions``'
    matter.
    """

    type: str
    status: ConditionStatus
    reason: str
    message: str


def next_conditions(
    previous: Iterable[Mapping[str, Any]],
    wanted: Sequence[Condition],
    *,
    generation: int,
    now: str,
) -> list[dict[str, Any]]:
    """The ``conditions`` list to write: ``wanted``, then those of others (unknown types).

    ``previous`` is the list as read from the object, ``now`` an RFC 3339 time. The API server's
    form of a time (whole seconds) is what ``metav1.Time`` keeps, so ``now`` is cut to it.
    """
    before = {str(entry.get("type")): entry for entry in previous}
    result = []
    for condition in wanted:
        old = before.pop(condition.type, None)
        unchanged = old is not None and old.get("status") == condition.status
        since = str(old["lastTransitionTime"]) if old and unchanged else _whole_seconds(now)
        result.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message[:_MAX_MESSAGE],
                "lastTransitionTime": since,
                "observedGeneration": generation,
            }
        )
    # A list that the API server refuses as too long would stop every write of the object.
    others = list(before.values())[: max(_MAX_CONDITIONS - len(result), 0)]
    result.extend(dict(entry) for entry in others)
    return result


def condition_status(conditions: Iterable[Mapping[str, Any]], kind: str) -> str | None:
    """The status of the condition of type ``kind``, None without one."""
    return next((str(c.get("status")) for c in conditions if c.get("type") == kind), None)


def _whole_seconds(time: str) -> str:
    return time.split(".", 1)[0] + "Z" if "." in time else time
