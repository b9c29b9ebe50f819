"""The status of an AgentObservation, computed: facts in, a dict for ``PATCH /status`` out.

A pure function of what is known. It knows no clock and no previous run, except for what must not
jump: the transition times of conditions, and fields of the status that other programs own (upstream
AgentSpec's grade, score, model …), which are carried over as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agentspec_usage.controller.pod_health import Health
from agentspec_usage.controller.verdict import (
    Problem,
    phase,
    ready,
    sources_agree,
    usage_available,
)
from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    model_usage,
    pods,
    reasons,
    totals,
    upper_tokens,
    window_started_at,
)
from agentspec_usage.metering.completeness import Completeness, Reason, completeness_of
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.status.charges import NO_CHARGES, Charges, charge_display, charge_fields
from agentspec_usage.status.completeness import complete
from agentspec_usage.status.conditions import Condition, next_conditions
from agentspec_usage.status.cost import cost_of
from agentspec_usage.status.usage import (
    coverage,
    last_update,
    ledger_fields,
    model_rows,
    usage_display,
    usage_numbers,
)
from agentspec_usage.wire.observed_answer import LedgerSaid

__all__ = ["Facts", "build_status"]

_MODEL_LIMIT = 20

_OURS = frozenset(
    {
        "observedGeneration",
        "phase",
        "lastChecked",
        "conditions",
        "target",
        "usage",
        "writerState",
    }
)
"""The fields that the operator writes; every other one belongs to somebody else and stays."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a status is computed from. Times are milliseconds since the epoch.

    ``charges`` is what the control plane says, None where there is no control plane: then the
    operator's own estimate is shown, as it is where another agent is charged. ``ledger`` is the
    newest signed head of its journal.
    """

    generation: int
    checkpoint: Checkpoint
    writer_state: str
    health: Health | None
    problem: Problem | None
    target: Mapping[str, str] | None
    previous: Mapping[str, Any]
    last_update: int | None
    last_read: int | None
    tampered_epoch: str | None
    now: int
    charges: Charges | None = None
    cost_center: str = ""
    ledger: LedgerSaid | None = None


def build_status(facts: Facts) -> dict[str, Any]:
    """The whole status, in the CRD's form (``crds/agentobservations.yaml``), at most 24 KiB."""
    status: dict[str, Any] = {k: v for k, v in facts.previous.items() if k not in _OURS}
    doubts = reasons(facts.checkpoint)
    if facts.health is not None:
        doubts |= facts.health.reasons()
    known = _anything_known(facts)
    completeness = completeness_of(doubts) if known else Completeness.UNKNOWN
    conditions = [
        ready(facts.problem, facts.health),
        usage_available(facts.problem, facts.health, known),
        sources_agree(doubts),
        _complete_condition(facts, doubts, known),
    ]
    status["observedGeneration"] = facts.generation
    status["phase"] = phase(facts.problem, facts.health, facts.previous)
    if facts.last_read is not None:
        status["lastChecked"] = to_rfc3339(facts.last_read)
    elif "lastChecked" in facts.previous:
        status["lastChecked"] = facts.previous["lastChecked"]
    status["conditions"] = next_conditions(
        facts.previous.get("conditions") or (),
        conditions,
        generation=facts.generation,
        now=to_rfc3339(facts.now),
    )
    if facts.target is not None:
        status["target"] = dict(facts.target)
    if known:
        status["usage"] = _usage(facts, doubts, completeness)
    status["writerState"] = facts.writer_state
    return status


def _anything_known(facts: Facts) -> bool:
    """Whether any usage was ever read; before, there is no number: unknown is not zero."""
    if facts.previous.get("usage") or pods(facts.checkpoint) or totals(facts.checkpoint):
        return True
    return facts.health is not None and facts.health.observed > 0


def _complete_condition(facts: Facts, doubts: frozenset[Reason], known: bool) -> Condition:
    condition = complete(doubts, known)
    if condition.reason != Reason.STATUS_TAMPERED:
        return condition
    if facts.tampered_epoch is not None:
        return Condition(
            condition.type,
            condition.status,
            condition.reason,
            f"The status was changed by somebody else in accounting epoch {facts.tampered_epoch}; "
            "a new epoch was opened.",
        )
    for old in facts.previous.get("conditions") or ():
        if old.get("type") == condition.type and old.get("reason") == condition.reason:
            return Condition(
                condition.type, condition.status, condition.reason, str(old.get("message", ""))
            )
    return condition


def _usage(facts: Facts, doubts: frozenset[Reason], completeness: Completeness) -> dict[str, Any]:
    counts = totals(facts.checkpoint)
    health = facts.health
    before = facts.previous.get("usage") or {}
    usage: dict[str, Any] = {
        "accountingEpoch": facts.checkpoint.epoch,
        **usage_numbers(counts),
        "models": model_rows(model_usage(facts.checkpoint, _MODEL_LIMIT)),
        "completeness": completeness.value,
        "reasons": sorted(reason.value for reason in doubts),
        "podsObserved": health.observed if health else before.get("podsObserved", 0),
        "podsExpected": health.expected if health else before.get("podsExpected", 0),
    }
    upper = upper_tokens(facts.checkpoint)
    if upper is not None:
        usage["upperTokens"] = upper
    started = window_started_at(facts.checkpoint)
    if started is not None:
        usage["windowStartedAt"] = to_rfc3339(started)
    elif "windowStartedAt" in before:
        usage["windowStartedAt"] = before["windowStartedAt"]
    if (updated := last_update(before, usage, facts.last_update)) is not None:
        usage["lastUpdateTime"] = updated
    source = _source(health) or before.get("source")
    if source is not None:
        usage["source"] = source
    if (share := coverage(counts)) is not None:
        usage["coverage"] = share
    if facts.cost_center:
        usage["costCenter"] = facts.cost_center
    charges = facts.charges or NO_CHARGES
    if facts.charges is None or charges.charged_as:
        charges = replace(charges, cost=cost_of(facts.checkpoint.cost, counts))
    usage.update(charge_fields(charges))
    usage["display"] = {
        **usage_display(counts, usage["podsObserved"], usage["podsExpected"]),
        **charge_display(charges, counts),
    }
    if facts.ledger is not None:
        usage["ledger"] = ledger_fields(facts.ledger)
    elif facts.charges is not None and "ledger" in before:
        usage["ledger"] = before["ledger"]
    return usage


def _source(health: Health | None) -> str | None:
    if health is None or not health.sources:
        return None
    if len(health.sources) > 1:
        return "mixed"
    return next(iter(health.sources)).value
