"""What the conditions and the phase say: a table from facts to words.

``Ready`` is the one to wait for. It is positive, it never says Stalled for an agent that does not
answer (helm --wait would give up), and scaled to zero or suspended is Ready: nothing is wrong.
Messages say what to do where somebody can do something, and contain nothing volatile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentspec_usage.controller.pod_health import Health
from agentspec_usage.controller.sources import AGENT_PORT_NAME, SIDECAR_PORT_NAME
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.status.completeness import OVERLAPPING
from agentspec_usage.status.conditions import Condition, ConditionStatus

__all__ = ["Problem", "phase", "ready", "sources_agree", "usage_available"]

_NO_SOURCE = (
    "No pod says where its usage is. Add to the agent's container:  "
    f"ports: [{{name: {AGENT_PORT_NAME}, containerPort: <port>}}]  "
    f"and serve GET /agentspec/usage there, or name a sidecar's port {SIDECAR_PORT_NAME}."
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an object is not scraped at all."""

    reason: Literal["Suspended", "InvalidSpec", "NoUsageSource"]
    message: str


def ready(problem: Problem | None, health: Health | None) -> Condition:
    """Whether every expected pod is read. The order matters: what blocks everything comes first."""
    if problem is not None:
        status: ConditionStatus = "True" if problem.reason == "Suspended" else "False"
        return _ready(status, problem.reason, problem.message)
    if health is None:
        return _ready("Unknown", "NotScrapedYet", "The agent's pods have not been read yet.")
    if health.expected == 0:
        return _ready("True", "ScaledToZero", "The agent has no pods; its numbers are kept.")
    if health.overlapped and not health.observed:
        return _ready("False", "Overlapping", OVERLAPPING)
    if health.failing:
        return _failing(health)
    if health.no_source:
        return _ready("False", "NoUsageSource", _NO_SOURCE)
    if health.overlapped:
        return _ready("False", "Overlapping", OVERLAPPING)
    if health.observed == 0 or health.unread:
        return _ready("Unknown", "NotScrapedYet", "The agent's pods have not been read yet.")
    return _ready("True", "Metered", "Usage was read from every pod that runs.")


def _ready(status: ConditionStatus, reason: str, message: str) -> Condition:
    return Condition("Ready", status, reason, message)


def _failing(health: Health) -> Condition:
    why = f" First failure: {health.failure}" if health.failure else ""
    if health.observed:
        return _ready("False", "SomePodsUnreachable", f"Some pods gave no usage.{why}")
    if health.unreachable or health.refused:
        return _ready("False", "AgentUnreachable", f"No pod could be read.{why}")
    return _ready("False", "BadResponse", f"The pods answered, but not with usage.{why}")


def usage_available(problem: Problem | None, health: Health | None, known: bool) -> Condition:
    """Whether there is an endpoint that says what the agent uses."""
    kind = "UsageAvailable"
    if problem is not None and problem.reason != "Suspended":
        return Condition(kind, "False", problem.reason, problem.message)
    if health is not None and health.no_source and not health.observed:
        return Condition(kind, "False", "NoUsageSource", _NO_SOURCE)
    if health is not None and health.observed:
        return Condition(kind, "True", "Metered", "The agent's pods say what they use.")
    if known:
        return Condition(kind, "True", "ReadBefore", "The numbers are those of the last reading.")
    return Condition(kind, "Unknown", "NotScrapedYet", "No usage has been read yet.")


def sources_agree(doubts: frozenset[Reason]) -> Condition:
    """Whether nobody else counts the same calls or pods."""
    if Reason.OVERLAPPING in doubts:
        return Condition("SourcesAgree", "False", "Overlapping", OVERLAPPING)
    if Reason.OBSERVERS_UNJOINED in doubts:
        return Condition(
            "SourcesAgree",
            "False",
            "ObserversUnjoined",
            "Two observers count the same pod and share no call ids; upperTokens is the bound.",
        )
    return Condition("SourcesAgree", "True", "OneSource", "Each pod is counted by one source.")


def phase(problem: Problem | None, health: Health | None, previous: Mapping[str, Any]) -> str:
    """AgentSpec's one word for its users; ``Ready`` is the finer one."""
    before = str(previous.get("phase", "Pending"))
    if problem is not None:
        return before if problem.reason == "Suspended" else "Unhealthy"
    if health is None:
        return before
    if health.expected == 0:
        return "Healthy"
    failing = health.failing + health.no_source + health.overlapped
    if health.observed:
        return "Degraded" if failing or health.unread else "Healthy"
    return "Unhealthy" if failing else "Unknown"
