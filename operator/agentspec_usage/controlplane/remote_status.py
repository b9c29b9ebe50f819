"""The status of an agent that pushes, computed: facts of the store in, ``PATCH /status`` out.

It has the operator's form, so that one list shows both. What the operator learns from pods is known
here from heartbeats: an instance (a process life) stands for a pod, one that was heard in time for
a pod that was read.

The store is the truth of these numbers and the status is only what is shown of it: one that
somebody edited is written over. A number may not fall within an accounting epoch, though, so where
the store knows less than the status says (it was restored from a backup, or the status was edited
upwards) a new epoch begins with what the store knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentspec_usage.metering.completeness import Reason, completeness_of
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.models import MODEL_ROWS, UNATTRIBUTED, ModelKey, rank
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.status.charges import Charges, charge_display, charge_fields
from agentspec_usage.status.completeness import complete
from agentspec_usage.status.conditions import Condition, next_conditions
from agentspec_usage.status.usage import (
    coverage,
    last_update,
    ledger_fields,
    model_rows,
    usage_display,
    usage_numbers,
)
from agentspec_usage.store.remote import RemoteAgent
from agentspec_usage.wire.heartbeat import HealthPhase, grade_of
from agentspec_usage.wire.observed_answer import LedgerSaid

__all__ = ["RemoteFacts", "build_remote_status"]

_OURS = frozenset(
    {
        *("observedGeneration", "phase", "lastChecked", "conditions", "usage"),
        *("grade", "score", "violations"),
    }
)
"""The fields that are written here; every other one belongs to somebody else and stays."""

_MAX_VIOLATIONS = 1_000_000


@dataclass(frozen=True, slots=True)
class RemoteFacts:
    """Everything that a status is computed from, beside the object itself."""

    agent: RemoteAgent
    models: Mapping[ModelKey, TokenCounts]
    charges: Charges
    ledger: LedgerSaid | None = None


def build_remote_status(
    facts: RemoteFacts,
    previous: Mapping[str, Any],
    *,
    generation: int,
    suspended: bool,
    new_epoch: str,
    now: int,
) -> dict[str, Any]:
    """The whole status. ``new_epoch`` names an epoch that was never used; ``now`` is in ms.

    A suspended object keeps its numbers as they stand.
    """
    agent = facts.agent
    before = previous.get("usage") or {}
    known = bool(agent.totals) or bool(before)
    doubts = _doubts(agent, before)
    if suspended:
        usage = dict(before)
    elif known:
        usage = _usage(facts, before, doubts, new_epoch, now)
    else:
        usage = {}
    status = {name: value for name, value in previous.items() if name not in _OURS}
    status["observedGeneration"] = generation
    status["phase"] = _phase(agent, previous, suspended)
    status["lastChecked"] = to_rfc3339(agent.last_seen)
    if agent.score is not None:
        status["score"] = agent.score
        status["grade"] = grade_of(agent.score)
        status["violations"] = min(agent.violations, _MAX_VIOLATIONS)
    status["conditions"] = next_conditions(
        previous.get("conditions") or (),
        [
            _ready(agent, suspended),
            _usage_available(known),
            Condition("SourcesAgree", "True", "OneSource", "The control plane counts each call."),
            complete(doubts, known),
        ],
        generation=generation,
        now=to_rfc3339(now),
    )
    if usage:
        status["usage"] = usage
    return status


def _usage(
    facts: RemoteFacts,
    before: Mapping[str, Any],
    doubts: frozenset[Reason],
    new_epoch: str,
    now: int,
) -> dict[str, Any]:
    agent = facts.agent
    counts = agent.totals
    numbers = usage_numbers(counts)
    rows = rank(facts.models, counts, MODEL_ROWS)
    if any((row.provider, row.model) == UNATTRIBUTED for row in rows):
        doubts |= {Reason.TRUNCATED}
    observed, expected = _lives(agent)
    usage: dict[str, Any] = {
        "accountingEpoch": _epoch(numbers, before, new_epoch),
        **numbers,
        "models": model_rows(rows),
        "source": "control-plane",
        "completeness": completeness_of(doubts).value,
        "reasons": sorted(reason.value for reason in doubts),
        "podsObserved": observed,
        "podsExpected": expected,
    }
    if agent.began_at is not None:
        usage["windowStartedAt"] = to_rfc3339(agent.began_at)
    usage["lastUpdateTime"] = last_update(before, usage, now)
    if (share := coverage(counts)) is not None:
        usage["coverage"] = share
    if agent.cost_center:
        usage["costCenter"] = agent.cost_center
    usage.update(charge_fields(facts.charges))
    usage["display"] = {
        **usage_display(counts, observed, expected),
        **charge_display(facts.charges, counts),
    }
    if facts.ledger is not None:
        usage["ledger"] = ledger_fields(facts.ledger)
    return usage


def _epoch(numbers: Mapping[str, int], before: Mapping[str, Any], new_epoch: str) -> str:
    """The epoch that stands, unless a number would fall in it."""
    epoch = str(before.get("accountingEpoch") or new_epoch)
    falls = any(number < before.get(name, 0) for name, number in numbers.items())
    return new_epoch if falls else epoch


def _lives(agent: RemoteAgent) -> tuple[int, int]:
    """Instances heard and expected. One that fell silent while others speak is gone; where none
    speaks, all that did not say goodbye are awaited."""
    return (agent.heard, agent.heard) if agent.heard else (0, agent.silent)


def _doubts(agent: RemoteAgent, before: Mapping[str, Any]) -> frozenset[Reason]:
    found = set()
    if agent.silent:
        # A process that is gone stays missed; one that may come back is only late.
        found.add(Reason.AGENT_RESTARTED if agent.heard else Reason.SCRAPE_FAILED)
    if Reason.AGENT_RESTARTED in (before.get("reasons") or ()):
        found.add(Reason.AGENT_RESTARTED)
    if agent.rolled_back:
        found.add(Reason.STORE_ROLLED_BACK)
    if agent.legacy:
        found.add(Reason.LEGACY_SOURCE)
    if agent.totals.saturated:
        found.add(Reason.SATURATED)
    if agent.totals.unmetered_calls:
        found.add(Reason.UNMETERED_CALLS)
    return frozenset(found)


def _phase(agent: RemoteAgent, previous: Mapping[str, Any], suspended: bool) -> str:
    if suspended:
        return str(previous.get("phase", "Pending"))
    return str(agent.phase if agent.heard or not agent.silent else HealthPhase.UNKNOWN)


def _ready(agent: RemoteAgent, suspended: bool) -> Condition:
    if suspended:
        return Condition("Ready", "True", "Suspended", "spec.suspend is true; the numbers stand.")
    if agent.heard:
        return Condition("Ready", "True", "Metered", "The agent sends heartbeats.")
    if agent.silent:
        message = "No heartbeat came in time: is the agent running, can it reach the control plane?"
        return Condition("Ready", "False", "AgentUnreachable", message)
    message = "Every process of the agent said that it ends; its numbers are kept."
    return Condition("Ready", "True", "ScaledToZero", message)


def _usage_available(known: bool) -> Condition:
    if known:
        return Condition("UsageAvailable", "True", "Metered", "The agent tells what it uses.")
    return Condition(
        "UsageAvailable",
        "False",
        "NoUsageSource",
        "The agent's heartbeats tell of no usage: have it send snapshots, or frames of its calls.",
    )
