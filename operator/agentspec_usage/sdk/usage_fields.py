"""From a provider's usage object to canonical counts. Pure; one function an API surface.

Canonical: input includes what was read from and written to a cache, output includes reasoning.
Providers differ, and the same field name means different things on two surfaces, so the caller says
which surface it is. What is not a whole number is refused with a WireError.

A usage object is a mapping or a provider SDK's own object; a field that is absent or null is
unknown. An object without any token count is no usage: None, and its call is unmetered.

The laws (a part is at most its whole; the provider's own total agrees) are checked on every object.
Where one is broken the two main counts still hold, the parts that do not fit are left out, and
``flaw`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts

__all__ = [
    "Measured",
    "anthropic_messages",
    "field",
    "lawful",
    "openai_chat",
    "openai_embeddings",
    "openai_responses",
    "unique_response_id",
]

_UNIQUE = 16
"""Characters of an id after its prefix from which on it is taken as unique: OpenAI's, Anthropic's
and vLLM's have 22 and more; a server that counts (``chatcmpl-17``) has a few."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a usage object says of one call. ``model`` where the object names one of its own."""

    counts: TokenCounts
    flaw: bool = False
    model: str = ""


def field(value: object, *path: str) -> object:
    """What stands at ``path`` in a mapping or an object; None where something is missing."""
    for name in path:
        if value is None:
            return None
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def openai_chat(usage: object) -> Measured | None:
    """Chat and legacy completions, and every server that answers in their shape.

    Cache reads and writes are inside ``prompt_tokens``, reasoning is inside ``completion_tokens``;
    but xAI counts reasoning, and Snowflake the cache, beside them. Each of the two shows in the
    total, which can be explained in no other way.
    """
    prompt = _count(usage, "prompt_tokens")
    completion = _count(usage, "completion_tokens")
    total = _count(usage, "total_tokens")
    if prompt is None and completion is None and total is None:
        return None
    read = _count(usage, "prompt_tokens_details", "cached_tokens")
    if read is None:
        # DeepSeek says the same number twice, older versions of it here alone.
        read = _count(usage, "prompt_cache_hit_tokens")
    reasoning = _known(_count(usage, "completion_tokens_details", "reasoning_tokens"))
    cached = _known(read)
    written = _known(_count(usage, "prompt_tokens_details", "cache_write_tokens"))
    if prompt is None:
        prompt = 0 if total is None else max(total - _known(completion), 0)
    output = _known(completion)
    if reasoning and total == prompt + output + reasoning:
        output += reasoning
    elif cached and total == prompt + cached + output:
        prompt += cached
    counts = TokenCounts(
        input=prompt,
        output=output,
        cache_read=cached,
        cache_write_unspecified=written,
        reasoning=reasoning,
        audio_in=_known(_count(usage, "prompt_tokens_details", "audio_tokens")),
        audio_out=_known(_count(usage, "completion_tokens_details", "audio_tokens")),
        image_in=_known(_count(usage, "prompt_tokens_details", "image_tokens")),
        calls=1,
    )
    return lawful(counts, total)


def openai_responses(usage: object) -> Measured | None:
    """Responses: everything is inside ``input_tokens`` and ``output_tokens``."""
    size = _count(usage, "input_tokens")
    output = _count(usage, "output_tokens")
    if size is None and output is None:
        return None
    ttl = ("input_tokens_details", "cache_write_tokens_details")
    half_hour = _known(_count(usage, *ttl, "ttl_30m_tokens"))
    half_day = _known(_count(usage, *ttl, "ttl_12h_tokens"))
    written = _known(_count(usage, "input_tokens_details", "cache_write_tokens"))
    counts = TokenCounts(
        input=_known(size),
        output=_known(output),
        cache_read=_known(_count(usage, "input_tokens_details", "cached_tokens")),
        cache_write_30m=half_hour,
        cache_write_12h=half_day,
        cache_write_unspecified=max(written - half_hour - half_day, 0),
        reasoning=_known(_count(usage, "output_tokens_details", "reasoning_tokens")),
        calls=1,
    )
    return lawful(counts, _count(usage, "total_tokens"))


def openai_embeddings(usage: object) -> Measured | None:
    """Embeddings: an input and no output. Some servers give the total alone."""
    size = _count(usage, "prompt_tokens")
    total = _count(usage, "total_tokens")
    if size is None and total is None:
        return None
    counts = TokenCounts(input=_known(total if size is None else size), calls=1)
    return lawful(counts, total)


def anthropic_messages(usage: object) -> tuple[Measured, ...]:
    """Messages: ``input_tokens`` is what no cache was involved in, so both caches are added.

    Where ``iterations`` are listed (compaction, an advisor, a fallback) they are what was used: the
    top level leaves some out. Those of another model are calls of their own.
    """
    entries = field(usage, "iterations")
    if not isinstance(entries, list) or not entries:
        measured = _anthropic_entry(usage)
        return () if measured is None else (measured,)
    by_model: dict[str, Measured] = {}
    for entry in entries:
        measured = _anthropic_entry(entry)
        if measured is not None:
            named = field(entry, "model")
            model = named if isinstance(named, str) else ""
            known = by_model.get(model)
            if known is None:
                by_model[model] = replace(measured, model=model)
            else:
                counts = replace(known.counts + measured.counts, calls=1)
                by_model[model] = Measured(counts, known.flaw or measured.flaw, model)
    return tuple(by_model.values())


def _anthropic_entry(usage: object) -> Measured | None:
    uncached = _count(usage, "input_tokens")
    output = _count(usage, "output_tokens")
    if uncached is None and output is None:
        return None
    read = _known(_count(usage, "cache_read_input_tokens"))
    short = _known(_count(usage, "cache_creation", "ephemeral_5m_input_tokens"))
    long = _known(_count(usage, "cache_creation", "ephemeral_1h_input_tokens"))
    said = _count(usage, "cache_creation_input_tokens")
    written = short + long if said is None else said
    counts = TokenCounts(
        input=_known(uncached) + read + written,
        output=_known(output),
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        cache_write_unspecified=max(written - short - long, 0),
        reasoning=_known(_count(usage, "output_tokens_details", "thinking_tokens")),
        calls=1,
    )
    return lawful(counts)


def lawful(counts: TokenCounts, total: int | None = None) -> Measured:
    """``counts``, without the parts that exceed their wholes."""
    fits_input = (
        counts.cache_read + counts.cache_write <= counts.input
        and counts.audio_in + counts.image_in <= counts.input
    )
    fits_output = (
        counts.reasoning <= counts.output and counts.audio_out + counts.image_out <= counts.output
    )
    flaw = not (fits_input and fits_output) or total not in (None, counts.input + counts.output)
    if not fits_input:
        counts = TokenCounts(
            input=counts.input,
            output=counts.output,
            reasoning=counts.reasoning,
            audio_out=counts.audio_out,
            image_out=counts.image_out,
            calls=counts.calls,
        )
    if not fits_output:
        counts = replace(counts, reasoning=0, audio_out=0, image_out=0)
    return Measured(counts, flaw)


def unique_response_id(response_id: object) -> str:
    """``response_id`` where it can name one call among all, else ""."""
    if not isinstance(response_id, str) or len(response_id) > 128:
        return ""
    prefix, _, tail = response_id.replace("-", "_").partition("_")
    return response_id if len(tail or prefix) >= _UNIQUE else ""


def _count(usage: object, *path: str) -> int | None:
    """The count at ``path``. Anything else there makes the call unmetered: WireError."""
    value = field(usage, *path)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise WireError(".".join(path), f"a whole number from 0 to {MAX_COUNT}")
    return value


def _known(count: int | None) -> int:
    return 0 if count is None else count
