"""OpenAI's usage objects, and those of every server that answers in their shape.

The shape does not say what it counts: Snowflake puts the cache beside ``prompt_tokens``, xAI the
reasoning beside ``completion_tokens``, under the same names. So the surface says which it is
(``Counting``); only for a server that nobody knows does the provider's total decide.
"""

from __future__ import annotations

from enum import Enum

from agentspec_usage.extraction.fields import count, known
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.metering.counts import TokenCounts

__all__ = [
    "CHAT_FIELDS",
    "RESPONSES_FIELDS",
    "Counting",
    "openai_chat",
    "openai_embeddings",
    "openai_responses",
]

CHAT_FIELDS = frozenset(
    {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cached_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "prompt_cache_hit_tokens",
        "prompt_cache_miss_tokens",
        "reasoning_tokens",
        "service_tier",
        # One a model, where a system of several answered.
        "usage_breakdown.models",
        "num_search_queries",
        "num_sources_used",
        "prompt_tokens_details.audio_tokens",
        "prompt_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cached_tokens",
        "prompt_tokens_details.image_tokens",
        "prompt_tokens_details.text_tokens",
        "completion_tokens_details.accepted_prediction_tokens",
        "completion_tokens_details.audio_tokens",
        "completion_tokens_details.image_tokens",
        "completion_tokens_details.reasoning_tokens",
        "completion_tokens_details.rejected_prediction_tokens",
        "completion_tokens_details.text_tokens",
        # Times of the server's own, and money as a gateway charges it.
        "completion_time",
        "prompt_time",
        "queue_time",
        "total_time",
        "cost",
        "cost_in_usd_ticks",
        "is_byok",
    }
)

RESPONSES_FIELDS = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "input_tokens_details.cached_tokens",
        "input_tokens_details.cache_read_input_tokens",
        "input_tokens_details.cache_write_tokens",
        "input_tokens_details.cache_write_tokens_details.ttl_12h_tokens",
        "input_tokens_details.cache_write_tokens_details.ttl_30m_tokens",
        "output_tokens_details.reasoning_tokens",
        "cost_in_usd_ticks",
        "num_sources_used",
    }
)


class Counting(Enum):
    """What stands beside ``prompt_tokens`` and ``completion_tokens`` instead of inside them.

    The provider's total is believed before any of these: what it shows to be inside is not added.
    """

    INSIDE = "nothing"
    BY_TOTAL = "what the total can be explained by"
    REASONING_BESIDE = "reasoning"
    CACHE_BESIDE = "the cache"
    REST_IS_REASONING = "reasoning, told by the total alone"


def openai_chat(usage: object, counting: Counting = Counting.BY_TOTAL) -> Measured | None:
    """Chat and legacy completions. None where the object counts nothing."""
    prompt = count(usage, "prompt_tokens")
    completion = count(usage, "completion_tokens")
    total = count(usage, "total_tokens")
    if prompt is None and completion is None and total is None:
        return None
    partial = prompt is None and total is None
    if prompt is None:
        prompt = 0 if total is None else max(total - known(completion), 0)
    output = known(completion)
    cached = _cache_read(usage)
    written = _first(
        usage,
        ("prompt_tokens_details", "cache_write_tokens"),
        ("cache_creation_input_tokens",),
    )
    reasoning = _first(
        usage, ("completion_tokens_details", "reasoning_tokens"), ("reasoning_tokens",)
    )
    cache_beside = False
    if total != prompt + output:
        if _is_beside(counting, Counting.REASONING_BESIDE, total, prompt + output + reasoning):
            output += reasoning
        elif _is_beside(counting, Counting.CACHE_BESIDE, total, prompt + cached + output):
            prompt += cached
            cache_beside = cached > 0
        elif counting is Counting.REST_IS_REASONING and total is not None:
            reasoning = max(total - prompt - output, reasoning)
            output = max(total - prompt, output)
    counts = TokenCounts(
        input=prompt,
        output=output,
        cache_read=cached,
        cache_write_unspecified=written,
        reasoning=reasoning,
        audio_in=known(count(usage, "prompt_tokens_details", "audio_tokens")),
        audio_out=known(count(usage, "completion_tokens_details", "audio_tokens")),
        image_in=known(count(usage, "prompt_tokens_details", "image_tokens")),
        image_out=known(count(usage, "completion_tokens_details", "image_tokens")),
        calls=1,
    )
    return lawful(counts, total, input_includes_cache=not cache_beside, partial=partial)


def openai_responses(usage: object) -> Measured | None:
    """Responses: everything is inside ``input_tokens`` and ``output_tokens``."""
    size = count(usage, "input_tokens")
    output = count(usage, "output_tokens")
    if size is None and output is None:
        return None
    ttl = ("input_tokens_details", "cache_write_tokens_details")
    half_hour = known(count(usage, *ttl, "ttl_30m_tokens"))
    half_day = known(count(usage, *ttl, "ttl_12h_tokens"))
    written = known(count(usage, "input_tokens_details", "cache_write_tokens"))
    counts = TokenCounts(
        input=known(size),
        output=known(output),
        cache_read=_first(
            usage,
            ("input_tokens_details", "cached_tokens"),
            ("input_tokens_details", "cache_read_input_tokens"),
        ),
        cache_write_30m=half_hour,
        cache_write_12h=half_day,
        cache_write_unspecified=max(written - half_hour - half_day, 0),
        reasoning=known(count(usage, "output_tokens_details", "reasoning_tokens")),
        calls=1,
    )
    return lawful(counts, count(usage, "total_tokens"))


def openai_embeddings(usage: object) -> Measured | None:
    """Embeddings: an input and no output. Some servers give the total alone."""
    size = count(usage, "prompt_tokens")
    total = count(usage, "total_tokens")
    if size is None and total is None:
        return None
    counts = TokenCounts(input=known(total if size is None else size), calls=1)
    return lawful(counts, total)


def _cache_read(usage: object) -> int:
    """One number under several names, some of which say it twice."""
    return _first(
        usage,
        ("prompt_tokens_details", "cached_tokens"),
        ("prompt_cache_hit_tokens",),  # DeepSeek, whose older versions have it here alone
        ("cached_tokens",),  # Moonshot, Anthropic's compatible API
        ("cache_read_input_tokens",),  # Databricks
    )


def _first(usage: object, *paths: tuple[str, ...]) -> int:
    for path in paths:
        number = count(usage, *path)
        if number is not None:
            return number
    return 0


def _is_beside(counting: Counting, this: Counting, total: int | None, explained: int) -> bool:
    if counting is this:
        return True
    return counting is Counting.BY_TOTAL and total == explained
