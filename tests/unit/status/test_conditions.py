"""When a condition's transition time moves, and what a list of conditions may hold."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.status.conditions import (
    Condition,
    ConditionStatus,
    condition_status,
    next_conditions,
)

BEFORE, NOW = "2026-11-01T08:00:00Z", "2026-11-22T16:00:00.500Z"


def entry(kind: str, status: str = "True", reason: str = "Metered") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "lastTransitionTime": BEFORE}


@pytest.mark.parametrize(
    ("previous", "status", "reason", "since"),
    [
        pytest.param([], "True", "Metered", "2026-11-22T16:00:00Z", id="new"),
        pytest.param([entry("Ready")], "False", "Bad", "2026-11-22T16:00:00Z", id="status moved"),
        pytest.param([entry("Ready")], "True", "Suspended", BEFORE, id="reason alone moved"),
    ],
)
def test_the_transition_time_moves_with_the_status_alone(
    previous: list[dict[str, Any]], status: ConditionStatus, reason: str, since: str
) -> None:
    (found,) = next_conditions(
        previous, [Condition("Ready", status, reason, "")], generation=3, now=NOW
    )
    assert found["lastTransitionTime"] == since
    assert (found["status"], found["reason"], found["observedGeneration"]) == (status, reason, 3)


def test_conditions_of_others_stay_behind_ours() -> None:
    previous = [entry("Compliant", "False"), entry("Ready")]
    found = next_conditions(previous, [Condition("Ready", "True", "R", "")], generation=1, now=NOW)
    assert [c["type"] for c in found] == ["Ready", "Compliant"]
    assert found[1] == previous[0]


def test_more_conditions_of_others_than_a_status_may_hold_do_not_stop_our_writes() -> None:
    previous = [entry(f"Other{number}") for number in range(8)]
    found = next_conditions(previous, [Condition("Ready", "True", "R", "")], generation=1, now=NOW)
    assert len(found) == 8
    assert found[0]["type"] == "Ready"


def test_a_message_is_cut_at_the_bound_of_the_definition() -> None:
    long = Condition("Ready", "False", "InvalidSpec", "m" * 5000)
    (found,) = next_conditions([], [long], generation=1, now=NOW)
    assert len(found["message"]) == 1024


def test_the_status_of_an_absent_condition_is_none() -> None:
    assert condition_status([entry("Ready", "False")], "Ready") == "False"
    assert condition_status([entry("Ready")], "Complete") is None
