"""The numbers of ``status.usage`` in the form of the CRD (``crds/agentobservations.yaml``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.models import ModelUsage
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.status.cost import short_number
from agentspec_usage.wire.observed_answer import LedgerSaid

__all__ = [
    "coverage",
    "last_update",
    "ledger_fields",
    "meaning",
    "model_rows",
    "usage_display",
    "usage_numbers",
]

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


def meaning(status: Mapping[str, Any]) -> dict[str, Any]:
    """``status`` without what moves while nothing happens: the time of the check, the packed notes,
    the head of the control plane's journal, which others make longer.

    Two statuses of one meaning need no write: an idle fleet writes nothing. (Whatever in the notes
    matters shows in the numbers or is marked by ``same_numbers``.)
    """
    kept = {k: v for k, v in status.items() if k not in ("lastChecked", "writerState")}
    usage = kept.get("usage")
    if isinstance(usage, Mapping) and "ledger" in usage:
        kept["usage"] = {k: v for k, v in usage.items() if k != "ledger"}
    return kept


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


def model_rows(models: Iterable[ModelUsage]) -> list[dict[str, Any]]:
    """``status.usage.models``: a row for each model, the most used first."""
    return [
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
        for model in models
    ]


def last_update(before: Mapping[str, Any], usage: Mapping[str, Any], at: int | None) -> str | None:
    """``lastUpdateTime`` of ``usage``, whose numbers were seen at ``at`` (ms).

    It moves with the numbers and with nothing else: two writers that agree on them would otherwise
    correct each other's time for ever.
    """
    moved = any(before.get(name) != usage[name] for name in ("accountingEpoch", *_COUNTERS))
    if not moved and "lastUpdateTime" in before:
        return str(before["lastUpdateTime"])
    return None if at is None else to_rfc3339(at)


def ledger_fields(ledger: LedgerSaid) -> dict[str, Any]:
    """``status.usage.ledger``: what the journal was when the status was written."""
    return {
        "size": ledger.size,
        "root": ledger.root,
        "keyId": ledger.key_id,
        "at": to_rfc3339(ledger.at),
    }


def coverage(counts: TokenCounts) -> str | None:
    """Metered calls per hundred calls, rounded down: 100% means every call."""
    if not counts.calls:
        return None
    tenths = 1000 * max(counts.calls - counts.unmetered_calls, 0) // counts.calls
    whole, tenth = divmod(tenths, 10)
    return f"{whole}.{tenth}%" if tenth else f"{whole}%"


def usage_display(counts: TokenCounts, observed: int, expected: int) -> dict[str, str]:
    """The texts of the columns for people, but for those of the cost."""
    display = {"tokens": short_number(counts.total), "pods": f"{observed}/{expected}"}
    if counts.input:
        # A new epoch counts components from different moments, so a part can exceed its whole.
        display["cachedPercent"] = f"{min(100 * counts.cache_read // counts.input, 100)}%"
    return display
