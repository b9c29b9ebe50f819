"""OpenAI's APIs of images and of sound."""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.extraction.fields import field, items, text, units
from agentspec_usage.extraction.measured import Measured, as_calls
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.openai_media import (
    IMAGE_FIELDS,
    REALTIME_FIELDS,
    SVG_FIELDS,
    openai_image,
    openai_realtime,
    openai_svg,
    openai_transcription,
)
from agentspec_usage.metering.counts import TokenCounts

__all__ = ["Images", "Realtime", "Sound"]


@dataclass(frozen=True, slots=True)
class Images:
    """``/images/generations``, ``edits`` and ``variations``. Older models are charged by the
    piece and show no usage: then the pieces are counted, and no tokens.
    """

    fields = (
        IMAGE_FIELDS
        | {f"usage.{name}" for name in IMAGE_FIELDS}
        | {f"svg_usage.{name}" for name in SVG_FIELDS}
    )
    wanted = frozenset({"usage", "svg_usage", "type", "data.revised_prompt"})

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b'.completed"' in event

    def response(self, reading: Reading, response: object) -> None:
        usage = field(response, "usage")
        svg = field(response, "svg_usage")
        if usage is not None or svg is not None:
            reading.usage = usage if svg is None else {"usage": usage, "svg_usage": svg}
            reading.complete = True
        drawn = len(items(response, "data"))
        if drawn and reading.usage is None:
            reading.requests = {"images": drawn}
            reading.complete = True

    def event(self, reading: Reading, event: object) -> None:
        if text(event, "type") in {"image_generation.completed", "image_edit.completed"}:
            self.response(reading, event)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        if reading.usage is None:
            return (Measured(TokenCounts(calls=1)),) if reading.requests else ()
        svg = field(reading.usage, "svg_usage")
        if svg is None:
            return as_calls(openai_image(reading.usage))
        return as_calls(openai_image(field(reading.usage, "usage"))) + as_calls(openai_svg(svg))


@dataclass(frozen=True, slots=True)
class Sound:
    """``/audio/transcriptions``, ``translations`` and ``speech``."""

    fields = REALTIME_FIELDS
    wanted = frozenset({"usage", "type", "duration"})

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b'.done"' in event

    def response(self, reading: Reading, response: object) -> None:
        usage = field(response, "usage")
        if usage is None and isinstance(field(response, "duration"), int | float):
            # The verbose form of models that are charged by the second.
            usage = {"type": "duration", "seconds": field(response, "duration")}
        if usage is None:
            return
        reading.usage = usage
        reading.complete = True
        seconds = units(usage, "seconds")
        reading.requests = {"seconds": seconds} if seconds else {}

    def event(self, reading: Reading, event: object) -> None:
        if text(event, "type") in {"transcript.text.done", "speech.audio.done"}:
            self.response(reading, event)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(openai_transcription(reading.usage))


@dataclass(frozen=True, slots=True)
class Realtime:
    """A response within a realtime session, which is told when it is done."""

    fields = REALTIME_FIELDS
    wanted = frozenset({"response.id", "response.usage", "response.status"})

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b'"response.done"' in event

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), None)
        usage = field(response, "usage")
        if usage is not None:
            reading.usage = usage
            reading.complete = True

    def event(self, reading: Reading, event: object) -> None:
        if text(event, "type") == "response.done":
            self.response(reading, field(event, "response"))

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(openai_realtime(reading.usage))
