"""What a usage object says of one call, and the laws that it must keep.

Canonical: input includes what was read from and written to a cache, output includes reasoning. The
laws (a part is at most its whole; the provider's own total agrees) are checked on every object.
Where one is broken the two main counts still hold, the parts that do not fit are left out, and
``flaw`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentspec_usage.metering.counts import MAX_COUNT, ZERO, TokenCounts

__all__ = ["Measured", "as_calls", "lawful"]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a usage object says of one call.

    ``model`` is set where the object names one of its own. ``input_includes_cache`` tells what the
    provider itself calls input; ``counts`` always include the cache. ``partial``: a main count is
    missing, so the counts are a lower bound.
    """

    counts: TokenCounts
    flaw: bool = False
    model: str = ""
    input_includes_cache: bool = True
    partial: bool = False


def as_calls(measured: Measured | None) -> tuple[Measured, ...]:
    """The one call that an object tells of, or none."""
    return () if measured is None else (measured,)


def lawful(
    counts: TokenCounts,
    total: int | None = None,
    *,
    input_includes_cache: bool = True,
    partial: bool = False,
) -> Measured:
    """``counts``, saturated, and without the parts that exceed their wholes."""
    excessive = max(counts.as_tuple()) > MAX_COUNT or counts.input + counts.output > MAX_COUNT
    if excessive:
        counts = counts + ZERO
    fits_input = (
        counts.cache_read + counts.cache_write <= counts.input
        and counts.audio_in + counts.image_in <= counts.input
    )
    fits_output = (
        counts.reasoning <= counts.output and counts.audio_out + counts.image_out <= counts.output
    )
    flaw = (
        excessive
        or not (fits_input and fits_output)
        or total not in (None, counts.input + counts.output)
    )
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
    return Measured(counts, flaw, input_includes_cache=input_includes_cache, partial=partial)
