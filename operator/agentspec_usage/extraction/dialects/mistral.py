"""Mistral's APIs that are its own; its chat is OpenAI's."""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.extraction.dialects.openai import ChatCompletions
from agentspec_usage.extraction.fields import field, text, units
from agentspec_usage.extraction.measured import Measured, as_calls
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.openai import CHAT_FIELDS, Counting
from agentspec_usage.metering.counts import TokenCounts

__all__ = ["MistralChat", "Ocr"]


@dataclass(frozen=True, slots=True)
class MistralChat(ChatCompletions):
    """Chat, fill-in-the-middle, agents, conversations, transcriptions; sound in the prompt is told
    in seconds besides.
    """

    counting: Counting = Counting.INSIDE

    fields = CHAT_FIELDS | {"prompt_audio_seconds", "connector_tokens", "connectors"}

    def _read(self, reading: Reading, said: object) -> None:
        ChatCompletions._read(self, reading, said)
        # A number, null, or an empty object.
        seconds = units(field(said, "usage"), "prompt_audio_seconds")
        if seconds:
            reading.requests = {"seconds": seconds}


@dataclass(frozen=True, slots=True)
class Ocr:
    """``/ocr``: charged by the page."""

    fields = frozenset({"pages_processed", "pages_processed_annotation", "doc_size_bytes"})
    wanted = frozenset({"model", "usage_info"})

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return False

    def response(self, reading: Reading, response: object) -> None:
        reading.name(None, text(response, "model"))
        pages = units(response, "usage_info", "pages_processed")
        if pages:
            reading.usage = field(response, "usage_info")
            reading.requests = {"pages": pages}
            reading.complete = True

    def event(self, reading: Reading, event: object) -> None:
        """Pages are never streamed."""

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(None if reading.usage is None else Measured(TokenCounts(calls=1)))
