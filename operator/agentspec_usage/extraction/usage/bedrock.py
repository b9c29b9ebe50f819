"""AWS Bedrock's usage objects: both caches stand beside the input, whichever vendor's model it is.

Bedrock's total is no cross-check: whether it includes the cache is not documented.
"""

from __future__ import annotations

from collections.abc import Mapping

from agentspec_usage.extraction.fields import count, items, known, text
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.metering.counts import TokenCounts

__all__ = [
    "CONVERSE_FIELDS",
    "METRICS_FIELDS",
    "bedrock_converse",
    "bedrock_headers",
    "bedrock_metrics",
]

CONVERSE_FIELDS = frozenset(
    {
        "inputTokens",
        "outputTokens",
        "totalTokens",
        "cacheReadInputTokens",
        "cacheWriteInputTokens",
        "cacheDetails",
        "serverToolUsage",
        # The same numbers under older names.
        "cacheReadInputTokenCount",
        "cacheWriteInputTokenCount",
    }
)

METRICS_FIELDS = frozenset(
    {
        "inputTokenCount",
        "outputTokenCount",
        "cacheReadInputTokenCount",
        "cacheWriteInputTokenCount",
        "invocationLatency",
        "firstByteLatency",
    }
)

_TTL = {"5m": "cache_write_5m", "1h": "cache_write_1h"}


def bedrock_converse(usage: object) -> Measured | None:
    """Converse, and Nova's own body."""
    uncached, output = count(usage, "inputTokens"), count(usage, "outputTokens")
    if uncached is None and output is None:
        return None
    written = _either(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    lasting = dict.fromkeys(_TTL.values(), 0)
    for entry in items(usage, "cacheDetails"):
        name = _TTL.get(text(entry, "ttl"))
        if name is not None:
            lasting[name] += known(count(entry, "inputTokens"))
    written = max(written, sum(lasting.values()))
    return _beside(
        known(uncached),
        known(output),
        _either(usage, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        written,
        lasting,
        partial=uncached is None,
    )


def bedrock_metrics(metrics: object) -> Measured | None:
    """``amazon-bedrock-invocationMetrics``, in the last chunk of an invoked model's stream."""
    uncached, output = count(metrics, "inputTokenCount"), count(metrics, "outputTokenCount")
    if uncached is None and output is None:
        return None
    return _beside(
        known(uncached),
        known(output),
        known(count(metrics, "cacheReadInputTokenCount")),
        known(count(metrics, "cacheWriteInputTokenCount")),
        {},
        partial=uncached is None,
    )


def bedrock_headers(headers: Mapping[str, str]) -> Measured | None:
    """The counts that Bedrock puts beside a vendor's body."""
    numbers = {
        name: int(value)
        for name in ("input", "output", "cache-read-input", "cache-write-input")
        if (value := headers.get(f"x-amzn-bedrock-{name}-token-count", "")).isdecimal()
        and len(value) <= 15
    }
    if "input" not in numbers and "output" not in numbers:
        return None
    return _beside(
        numbers.get("input", 0),
        numbers.get("output", 0),
        numbers.get("cache-read-input", 0),
        numbers.get("cache-write-input", 0),
        {},
        partial="input" not in numbers,
    )


def _beside(
    uncached: int, output: int, read: int, written: int, lasting: dict[str, int], *, partial: bool
) -> Measured:
    counts = TokenCounts(
        input=uncached + read + written,
        output=output,
        cache_read=read,
        cache_write_5m=lasting.get("cache_write_5m", 0),
        cache_write_1h=lasting.get("cache_write_1h", 0),
        cache_write_unspecified=written - sum(lasting.values()),
        calls=1,
    )
    return lawful(counts, input_includes_cache=False, partial=partial)


def _either(usage: object, name: str, alias: str) -> int:
    said = count(usage, name)
    return known(count(usage, alias)) if said is None else said
