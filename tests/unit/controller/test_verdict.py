"""From facts to words: what Ready, UsageAvailable, SourcesAgree and the phase say."""

from __future__ import annotations

import pytest

from agentspec_usage.controller.pod_health import Health
from agentspec_usage.controller.verdict import (
    Problem,
    phase,
    ready,
    sources_agree,
    usage_available,
)
from agentspec_usage.metering.completeness import Reason

SUSPENDED = Problem("Suspended", "m")
INVALID = Problem("InvalidSpec", "m")


@pytest.mark.parametrize(
    ("problem", "health", "status", "reason", "word"),
    [
        pytest.param(SUSPENDED, None, "True", "Suspended", "Pending", id="suspended"),
        pytest.param(INVALID, Health(1, 1), "False", "InvalidSpec", "Unhealthy", id="invalid"),
        pytest.param(None, None, "Unknown", "NotScrapedYet", "Pending", id="not looked at"),
        pytest.param(None, Health(), "True", "ScaledToZero", "Healthy", id="no pods"),
        pytest.param(None, Health(2, 2), "True", "Metered", "Healthy", id="all read"),
        pytest.param(None, Health(2, 1, starting=1), "True", "Metered", "Healthy", id="rollout"),
        pytest.param(
            None, Health(1, starting=1), "Unknown", "NotScrapedYet", "Unknown", id="starting"
        ),
        pytest.param(None, Health(1, unread=1), "Unknown", "NotScrapedYet", "Unknown", id="unread"),
        pytest.param(
            None, Health(2, unreachable=2), "False", "AgentUnreachable", "Unhealthy", id="none"
        ),
        pytest.param(
            None, Health(2, 1, unreachable=1), "False", "SomePodsUnreachable", "Degraded", id="some"
        ),
        pytest.param(
            None, Health(1, bad_response=1), "False", "BadResponse", "Unhealthy", id="bad answers"
        ),
        pytest.param(
            None, Health(1, refused=1), "False", "AgentUnreachable", "Unhealthy", id="refused"
        ),
        pytest.param(
            None, Health(1, no_source=1), "False", "NoUsageSource", "Unhealthy", id="no source"
        ),
        pytest.param(
            None, Health(2, 1, overlapped=1), "False", "Overlapping", "Degraded", id="overlapping"
        ),
    ],
)
def test_ready_and_phase(
    problem: Problem | None, health: Health | None, status: str, reason: str, word: str
) -> None:
    condition = ready(problem, health)
    assert (condition.type, condition.status, condition.reason) == ("Ready", status, reason)
    assert phase(problem, health, {}) == word


def test_a_suspended_object_keeps_its_phase() -> None:
    assert phase(SUSPENDED, Health(1, 1), {"phase": "Degraded"}) == "Degraded"


@pytest.mark.parametrize(
    ("problem", "health", "known", "status", "reason"),
    [
        pytest.param(INVALID, None, True, "False", "InvalidSpec", id="invalid"),
        pytest.param(None, Health(1, no_source=1), True, "False", "NoUsageSource", id="no source"),
        pytest.param(None, Health(1, 1), True, "True", "Metered", id="read"),
        pytest.param(SUSPENDED, None, True, "True", "ReadBefore", id="read before"),
        pytest.param(None, None, False, "Unknown", "NotScrapedYet", id="never read"),
    ],
)
def test_usage_available(
    problem: Problem | None, health: Health | None, known: bool, status: str, reason: str
) -> None:
    condition = usage_available(problem, health, known)
    assert (condition.status, condition.reason) == (status, reason)


@pytest.mark.parametrize(
    ("doubt", "status"),
    [
        (Reason.OVERLAPPING, "False"),
        (Reason.OBSERVERS_UNJOINED, "False"),
        (Reason.SATURATED, "True"),
    ],
    ids=lambda value: str(value),
)
def test_sources_disagree_when_somebody_else_counts_the_same(doubt: Reason, status: str) -> None:
    assert sources_agree(frozenset({doubt})).status == status
