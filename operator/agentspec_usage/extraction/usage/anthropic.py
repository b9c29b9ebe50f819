"""Anthropic's usage object: ``input_tokens`` is what no cache was involved in."""

from __future__ import annotations

from dataclasses import replace

from agentspec_usage.extraction.fields import count, items, known, text
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.metering.counts import TokenCounts

__all__ = ["MESSAGES_FIELDS", "anthropic_messages"]

MESSAGES_FIELDS = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation.ephemeral_5m_input_tokens",
        "cache_creation.ephemeral_1h_input_tokens",
        "output_tokens_details.thinking_tokens",
        "server_tool_use.web_search_requests",
        "server_tool_use.web_fetch_requests",
        "service_tier",
        "speed",
        "inference_geo",
        "iterations",
        "fallback_credit",
    }
)


def anthropic_messages(usage: object) -> tuple[Measured, ...]:
    """Messages: both caches are added to the input.

    Where ``iterations`` are listed (compaction, an advisor, a fallback) they are what was used: the
    top level leaves some out. Those of another model are calls of their own.
    """
    entries = items(usage, "iterations")
    if not entries:
        measured = _entry(usage)
        return () if measured is None else (measured,)
    by_model: dict[str, Measured] = {}
    for entry in entries:
        measured = _entry(entry)
        if measured is not None:
            model = text(entry, "model")
            before = by_model.get(model)
            if before is not None:
                both = lawful(
                    replace(before.counts + measured.counts, calls=1),
                    input_includes_cache=False,
                    partial=before.partial or measured.partial,
                )
                measured = replace(both, flaw=both.flaw or before.flaw or measured.flaw)
            by_model[model] = replace(measured, model=model)
    return tuple(by_model.values())


def _entry(usage: object) -> Measured | None:
    uncached = count(usage, "input_tokens")
    output = count(usage, "output_tokens")
    if uncached is None and output is None:
        return None
    read = known(count(usage, "cache_read_input_tokens"))
    short = known(count(usage, "cache_creation", "ephemeral_5m_input_tokens"))
    long = known(count(usage, "cache_creation", "ephemeral_1h_input_tokens"))
    said = count(usage, "cache_creation_input_tokens")
    written = short + long if said is None else said
    counts = TokenCounts(
        input=known(uncached) + read + written,
        output=known(output),
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        cache_write_unspecified=max(written - short - long, 0),
        reasoning=known(count(usage, "output_tokens_details", "thinking_tokens")),
        calls=1,
    )
    return lawful(counts, input_includes_cache=False, partial=uncached is None)
