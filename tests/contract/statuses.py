"""Statuses to write: a small one, and the largest that fits the definition."""

from __future__ import annotations

from typing import Any

from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT

__all__ = ["COUNTERS", "condition", "largest_status", "model", "status_with", "usage"]

COUNTERS = (
    "totalTokens",
    "inputTokens",
    "outputTokens",
    "cacheReadTokens",
    "cacheWriteTokens",
    "reasoningTokens",
    "totalCalls",
    "unmeteredCalls",
)
"""The counters of ``status.usage`` that never fall within an accounting epoch."""


def usage(epoch: str = "epoch-1", **fields: Any) -> dict[str, Any]:
    """A ``status.usage`` with its required fields, 724 tokens; ``fields`` replace or add."""
    return {
        "accountingEpoch": epoch,
        "totalTokens": 724,
        "inputTokens": 627,
        "outputTokens": 97,
        "cacheReadTokens": 12,
        "cacheWriteTokens": 123,
        "reasoningTokens": 40,
        "totalCalls": 10,
        "unmeteredCalls": 1,
        "completeness": "LowerBound",
        "podsObserved": 1,
        "podsExpected": 1,
    } | fields


def model(model_id: str, provider: str = "openai", tokens: int = 2) -> dict[str, Any]:
    """A row of ``status.usage.models``."""
    return {
        "provider": provider,
        "modelId": model_id,
        "inputTokens": tokens,
        "outputTokens": 0,
        "cacheReadTokens": 0,
        "cacheWriteTokens": 0,
        "reasoningTokens": 0,
        "totalTokens": tokens,
        "callCount": 1,
    }


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-22T12:00:00Z",
        "observedGeneration": 1,
    }


def status_with(**usage_fields: Any) -> dict[str, Any]:
    """A status with nothing but ``usage``."""
    return {"usage": usage(**usage_fields)}


def largest_status() -> dict[str, Any]:
    """Every field, every list full, every string and number at its bound."""
    cost = {
        "status": "Estimated",
        "amount": f"-{MAX_COUNT}.{'9' * 12}",
        "currency": "USD",
        "unpricedTokens": MAX_COUNT,
    }
    period = {"tokens": MAX_COUNT, "ends": "2026-12-01T00:00:00.000Z", "cost": cost}
    rows = [model(f"{number:02}{'m' * 126}", "p" * 128) for number in range(20)]
    rows += [model("__other__", "p" * 128), model("__unattributed__", "p" * 128)]
    for row in rows:
        row.update({key: MAX_COUNT for key, value in row.items() if isinstance(value, int)})
    return {
        "observedGeneration": 2**63 - 1,
        "phase": "Unhealthy",
        "lastChecked": "2026-11-22T12:00:00.000Z",
        "conditions": [
            condition(f"{'T' * 315}{number}", "Unknown", "R" * 128, "m" * 1024)
            for number in range(8)
        ],
        "target": {"kind": "StatefulSet", "name": "n" * 253, "selector": "s" * 1024},
        "usage": {
            "accountingEpoch": "e" * 64,
            **dict.fromkeys(COUNTERS, MAX_COUNT),
            "upperTokens": MAX_COUNT,
            "windowStartedAt": "2026-11-22T12:00:00.000Z",
            "lastUpdateTime": "2026-11-22T12:00:00.000Z",
            "models": rows,
            "source": "control-plane",
            "completeness": "LowerBound",
            "reasons": [reason.value for reason in Reason],
            "coverage": "99.9%",
            "podsObserved": 1_000_000,
            "podsExpected": 1_000_000,
            "cost": cost,
            "today": period,
            "month": period,
            "tail": {"tokens": MAX_COUNT, "calls": MAX_COUNT},
            "chargedAs": "n" * 253,
            "costCenter": "c" * 128,
            "ledger": {
                "size": MAX_COUNT,
                "root": "f" * 64,
                "keyId": "k" * 128,
                "at": "2026-11-22T12:00:00.000Z",
            },
            "display": {
                "tokens": "9" * 16,
                "pods": "1000000/1000000",
                "cachedPercent": "100%",
                "cost": "9" * 32,
                "costPerCall": "9" * 32,
                "month": "9" * 32,
            },
        },
        "grade": "F",
        "score": 100,
        "violations": 1_000_000,
        "source": "s" * 64,
        "model": {"id": "m" * 256, "status": "unknown", "latencyMs": 3_600_000},
        "summary": dict.fromkeys(("passed", "failed", "warnings", "skipped"), 1_000_000),
        "writerState": "w" * 8192,
    }
