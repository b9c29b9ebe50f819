"""Cohere's usage: billed units beside processed tokens, and every number a float.

What is billed is counted: the processed tokens include what Cohere adds for itself.
"""

from __future__ import annotations

from agentspec_usage.extraction.fields import field, known, units, whole
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.metering.counts import TokenCounts

__all__ = ["COHERE_FIELDS", "cohere_units", "cohere_usage"]

COHERE_FIELDS = frozenset(
    {
        "api_version.version",
        "api_version.is_deprecated",
        "api_version.is_experimental",
        "warnings",
        "cached_tokens",
        "tokens.input_tokens",
        "tokens.output_tokens",
        "billed_units.input_tokens",
        "billed_units.output_tokens",
        "billed_units.image_tokens",
        "billed_units.text_tokens",
        "billed_units.images",
        "billed_units.pages",
        "billed_units.search_units",
        "billed_units.classifications",
    }
)

_UNITS = ("search_units", "classifications", "images", "pages")


def cohere_usage(usage: object) -> Measured | None:
    """``usage`` of version 2, ``meta`` of version 1, of embeddings and of reranking."""
    source = "billed_units" if field(usage, "billed_units") is not None else "tokens"
    size, output = whole(usage, source, "input_tokens"), whole(usage, source, "output_tokens")
    pictures = whole(usage, source, "image_tokens")
    if size is None and output is None and pictures is None:
        return Measured(TokenCounts(calls=1)) if cohere_units(usage) else None
    written = whole(usage, source, "text_tokens")
    whole_input = known(size)
    if written is None or whole_input < written + known(pictures):
        whole_input += known(pictures)
    # What was read from the cache is told of the processed tokens, of which not all are billed.
    cached = known(whole(usage, "cached_tokens"))
    counts = TokenCounts(
        input=whole_input,
        output=known(output),
        cache_read=cached if cached <= whole_input else 0,
        image_in=known(pictures),
        calls=1,
    )
    return lawful(counts)


def cohere_units(usage: object) -> dict[str, int]:
    """Units that are billed apart from tokens."""
    found = {name: units(usage, "billed_units", name) for name in _UNITS}
    return {name: number for name, number in found.items() if number}
