"""OpenAI's usage objects of images, sound and realtime sessions.

Their names differ from Responses' by a letter (``input_token_details``), and some count no tokens:
a transcription may be charged by the second, an image by the piece.
"""

from __future__ import annotations

from dataclasses import replace

from agentspec_usage.extraction.fields import count, known, text
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.metering.counts import TokenCounts

__all__ = [
    "IMAGE_FIELDS",
    "REALTIME_FIELDS",
    "SVG_FIELDS",
    "openai_image",
    "openai_realtime",
    "openai_svg",
    "openai_transcription",
]

IMAGE_FIELDS = frozenset(
    {
        "input_tokens",
        "input_tokens_details.image_tokens",
        "input_tokens_details.text_tokens",
        "output_tokens",
        "output_tokens_details.image_tokens",
        "output_tokens_details.text_tokens",
        "total_tokens",
    }
)

SVG_FIELDS = frozenset(
    {"input_tokens", "model", "output_tokens", "reasoning_tokens", "total_tokens"}
)

REALTIME_FIELDS = frozenset(
    {
        "type",
        "seconds",
        "input_tokens",
        "input_token_details.audio_tokens",
        "input_token_details.cached_tokens",
        "input_token_details.cached_tokens_details.audio_tokens",
        "input_token_details.cached_tokens_details.image_tokens",
        "input_token_details.cached_tokens_details.text_tokens",
        "input_token_details.image_tokens",
        "input_token_details.text_tokens",
        "output_tokens",
        "output_token_details.audio_tokens",
        "output_token_details.text_tokens",
        "total_tokens",
    }
)


def openai_image(usage: object) -> Measured | None:
    """Images. Without details the output is what these models make: an image."""
    size, output = count(usage, "input_tokens"), count(usage, "output_tokens")
    if size is None and output is None:
        return None
    drawn = count(usage, "output_tokens_details", "image_tokens")
    counts = TokenCounts(
        input=known(size),
        output=known(output),
        image_in=known(count(usage, "input_tokens_details", "image_tokens")),
        image_out=known(output) if drawn is None else drawn,
        calls=1,
    )
    return lawful(counts, count(usage, "total_tokens"))


def openai_svg(usage: object) -> Measured | None:
    """What a model used that wrote an image as text: a call of its own, beside the image's."""
    size, output = count(usage, "input_tokens"), count(usage, "output_tokens")
    if size is None and output is None:
        return None
    counts = TokenCounts(
        input=known(size),
        output=known(output),
        reasoning=known(count(usage, "reasoning_tokens")),
        calls=1,
    )
    return replace(lawful(counts, count(usage, "total_tokens")), model=text(usage, "model"))


def openai_realtime(usage: object) -> Measured | None:
    """A response within a realtime session."""
    size, output = count(usage, "input_tokens"), count(usage, "output_tokens")
    if size is None and output is None:
        return None
    counts = TokenCounts(
        input=known(size),
        output=known(output),
        cache_read=known(count(usage, "input_token_details", "cached_tokens")),
        audio_in=known(count(usage, "input_token_details", "audio_tokens")),
        audio_out=known(count(usage, "output_token_details", "audio_tokens")),
        image_in=known(count(usage, "input_token_details", "image_tokens")),
        calls=1,
    )
    return lawful(counts, count(usage, "total_tokens"))


def openai_transcription(usage: object) -> Measured | None:
    """A transcription, in a request of its own or beside a realtime session.

    One that is charged by its duration uses no tokens, which is known.
    """
    if text(usage, "type") == "duration":
        return Measured(TokenCounts(calls=1))
    return openai_realtime(usage)
