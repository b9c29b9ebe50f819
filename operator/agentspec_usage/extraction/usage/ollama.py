"""Ollama's own counts. They stand in the last object of an answer, not in one of their own."""

from __future__ import annotations

from agentspec_usage.extraction.fields import count, known
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.metering.counts import TokenCounts

__all__ = ["OLLAMA_FIELDS", "ollama_usage"]

OLLAMA_FIELDS = frozenset({"prompt_eval_count", "prompt_eval_cached_count", "eval_count"})


def ollama_usage(usage: object) -> Measured | None:
    """Cached tokens are inside the prompt's, reasoning is inside the output.

    Old versions leave the prompt's count out when the whole prompt was cached. That is unknown, and
    not zero.
    """
    prompt, output = count(usage, "prompt_eval_count"), count(usage, "eval_count")
    if prompt is None and output is None:
        return None
    counts = TokenCounts(
        input=known(prompt),
        output=known(output),
        cache_read=known(count(usage, "prompt_eval_cached_count")),
        calls=1,
    )
    return lawful(counts, partial=prompt is None)
