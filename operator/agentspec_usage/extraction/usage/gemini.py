"""Google's usage objects: what the model thought stands beside what it answered."""

from __future__ import annotations

from agentspec_usage.extraction.fields import count, items, known, text
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.metering.counts import TokenCounts

__all__ = [
    "GENERATE_FIELDS",
    "INTERACTION_FIELDS",
    "gemini_generate",
    "gemini_interaction",
]

GENERATE_FIELDS = frozenset(
    {
        "promptTokenCount",
        "promptTokensDetails",
        "cachedContentTokenCount",
        "cacheTokensDetails",
        "candidatesTokenCount",
        "candidatesTokensDetails",
        "responseTokenCount",
        "responseTokensDetails",
        "thoughtsTokenCount",
        "toolUsePromptTokenCount",
        "toolUsePromptTokensDetails",
        "totalTokenCount",
        "trafficType",
        "serviceTier",
    }
)

INTERACTION_FIELDS = frozenset(
    {
        "total_input_tokens",
        "total_output_tokens",
        "total_cached_tokens",
        "total_thought_tokens",
        "total_tool_use_tokens",
        "total_tokens",
        "initial_input_tokens",
        "input_tokens_by_modality",
        "output_tokens_by_modality",
        "cached_tokens_by_modality",
        "tool_use_tokens_by_modality",
        "grounding_tool_count",
    }
)


def gemini_generate(usage: object) -> Measured | None:
    """``usageMetadata`` of generateContent, of a live session's turn, of an embedding.

    Tool results that the model read are input beside the prompt, thoughts are output beside the
    candidates; where the total shows that the candidates have them already, they are not added.
    """
    prompt = count(usage, "promptTokenCount")
    answered = count(usage, "candidatesTokenCount")
    if answered is None:
        answered = count(usage, "responseTokenCount")
    total = count(usage, "totalTokenCount")
    if prompt is None and answered is None and total is None:
        return None
    thoughts = known(count(usage, "thoughtsTokenCount"))
    size = known(prompt) + known(count(usage, "toolUsePromptTokenCount"))
    output = known(answered)
    if not (thoughts and thoughts <= output and total == size + output):
        output += thoughts
    read = ("promptTokensDetails", "toolUsePromptTokensDetails")
    said = ("candidatesTokensDetails", "responseTokensDetails")
    counts = TokenCounts(
        input=size,
        output=output,
        cache_read=known(count(usage, "cachedContentTokenCount")),
        reasoning=thoughts,
        audio_in=_of(usage, read, {"AUDIO"}),
        audio_out=_of(usage, said, {"AUDIO"}),
        image_in=_of(usage, read, {"IMAGE", "DOCUMENT"}),
        image_out=_of(usage, said, {"IMAGE"}),
        calls=1,
    )
    return lawful(counts, total, partial=prompt is None)


def gemini_interaction(usage: object) -> Measured | None:
    """``usage`` of an interaction: the same under other names."""
    size, answered = count(usage, "total_input_tokens"), count(usage, "total_output_tokens")
    if size is None and answered is None:
        return None
    thoughts = known(count(usage, "total_thought_tokens"))
    read = ("input_tokens_by_modality", "tool_use_tokens_by_modality")
    counts = TokenCounts(
        input=known(size) + known(count(usage, "total_tool_use_tokens")),
        output=known(answered) + thoughts,
        cache_read=known(count(usage, "total_cached_tokens")),
        reasoning=thoughts,
        audio_in=_of(usage, read, {"AUDIO"}),
        audio_out=_of(usage, ("output_tokens_by_modality",), {"AUDIO"}),
        image_in=_of(usage, read, {"IMAGE", "DOCUMENT"}),
        image_out=_of(usage, ("output_tokens_by_modality",), {"IMAGE"}),
        calls=1,
    )
    return lawful(counts, count(usage, "total_tokens"), partial=size is None)


def _of(usage: object, lists: tuple[str, ...], modalities: set[str]) -> int:
    """The tokens of these modalities in all of the lists."""
    return sum(
        known(count(entry, "tokenCount")) + known(count(entry, "tokens"))
        for name in lists
        for entry in items(usage, name)
        if text(entry, "modality").upper() in modalities
    )
