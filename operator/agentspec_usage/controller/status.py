"""The status of an AgentObservation, computed: facts in, a dict for ``PATCH /status`` out.

A pure function of what is known. It knows no clock and no previous run, except for what must not
jump: the transition times of conditions, and fields of the status that other programs own (upstream
AgentSpec's grade, score, model …), which are carried over as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentspec_usage.controller.conditions import Condition, next_conditions
from agentspec_usage.controller.cost_status import cost_display, cost_fields, short_number
from agentspec_usage.controller.pod_health import Health
from agentspec_usage.controller.verdict import (
    Problem,
    complete,
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
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.runtime.clock import to_rfc3339

__all__ = ["Facts", "build_status", "meaning", "usage_numbers"]

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


_COUNTERS = (
    "totalTokens",
    "inputTokens",
    "outputTokens",
    "cacheReadTokens",
    "cacheWriteTokens",
    "reasoningTokens",
    "totalCalls",
    "unmeteredCalls",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a status is computed from. Times are milliseconds since the epoch."""

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


def meaning(status: Mapping[str, Any]) -> dict[str, Any]:
    """``status`` without what moves while nothing happens: the time of the check, the packed notes.

    Two statuses of one meaning need no write: an idle fleet writes nothing. (Whatever in the notes
    matters shows in the numbers or is marked by ``same_numbers``.)
    """
    return {k: v for k, v in status.items() if k not in ("lastChecked", "writerState")}


def usage_numbers(counts: TokenCounts) -> dict[str, int]:
    """The counters of ``status.usage`` for ``counts``, by their names there."""
    values = (
        counts.total,
        counts.input,
        counts.output,
        counts.cache_read,
        counts.cache_write,
        counts.reasoning,
        counts.calls,
        counts.unmetered_calls,
    )
    return dict(zip(_COUNTERS, values, strict=True))


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
        "models": [
            {
                "provider": model.provider,
                "modelId": model.model,
                "inputTokens": model.counts.input,
                "outputTokens": model.counts.output,
                "cacheReadTokens": model.counts.cache_read,
                "cacheWriteTokens": model.counts.cache_write,
                "reasoningTokens": model.counts.reasoning,
                "totalTokens": model.counts.total,
                "callCount": model.counts.calls,
            }
            for model in model_usage(facts.checkpoint, _MODEL_LIMIT)
        ],
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
    # It moves with the numbers and with nothing else: two operators that agree on them would
    # otherwise correct each other's time for ever.
    moved = any(before.get(name) != usage[name] for name in ("accountingEpoch", *_COUNTERS))
    if not moved and "lastUpdateTime" in before:
        usage["lastUpdateTime"] = before["lastUpdateTime"]
    elif facts.last_update is not None:
        usage["lastUpdateTime"] = to_rfc3339(facts.last_update)
    source = _source(health) or before.get("source")
    if source is not None:
        usage["source"] = source
    if (coverage := _coverage(counts)) is not None:
        usage["coverage"] = coverage
    cost = facts.checkpoint.cost
    if (fields := cost_fields(cost, counts)) is not None:
        usage["cost"] = fields
    usage["display"] = {
        **_display(counts, usage["podsObserved"], usage["podsExpected"]),
        **cost_display(cost, counts),
    }
    return usage


def _source(health: Health | None) -> str | None:
    if health is None or not health.sources:
        return None
    if len(health.sources) > 1:
        return "mixed"
    return next(iter(health.sources)).value


def _coverage(counts: TokenCounts) -> str | None:
    """Metered calls per hundred calls, rounded down: 100% means every call."""
    if not counts.calls:
        return None
    tenths = 1000 * max(counts.calls - counts.unmetered_calls, 0) // counts.calls
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth}%" if tenth else f"{whole}%"


def _display(counts: TokenCounts, observed: int, expected: int) -> dict[str, str]:
    display = {"tokens": short_number(counts.total), "pods": f"{observed}/{expected}"}
    if counts.input:
        # A new epoch counts components from different moments, so a part can exceed its whole.
        display["cachedPercent"] = f"{min(100 * counts.cache_read // counts.input, 100)}%"
    return display
