"""The text APIs that OpenAI made, as their clients' typed objects or JSON say them.

Usage-only chunks are recognised by their usage, not by empty choices: Azure sends chunks without
choices first, Mistral sends usage beside the last choice, OpenRouter beside an empty one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agentspec_usage.extraction.fields import field, items, text, units
from agentspec_usage.extraction.measured import Measured, as_calls
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.openai import (
    CHAT_FIELDS,
    RESPONSES_FIELDS,
    Counting,
    openai_chat,
    openai_embeddings,
    openai_responses,
)

__all__ = ["ChatCompletions", "Embeddings", "Responses"]

_TELLS = re.compile(rb'usage"\s*:\s*\{|"finish_reason"\s*:\s*"')


_CHAT_MEMBERS = (
    "id",
    "model",
    "usage",
    "service_tier",
    "usage_breakdown",
    "x_groq.usage",
    "x_groq.usage_breakdown",
    "choices.finish_reason",
)


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """``/chat/completions``, and ``/completions`` before it.

    ``within`` names the member that the response stands in, for servers that wrap it.
    """

    counting: Counting = Counting.BY_TOTAL
    within: str = ""

    fields = CHAT_FIELDS

    @property
    def wanted(self) -> frozenset[str]:
        above = f"{self.within}." if self.within else ""
        return frozenset(above + name for name in _CHAT_MEMBERS)

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return not (reading.model and reading.response_id) or _TELLS.search(event) is not None

    def response(self, reading: Reading, response: object) -> None:
        self._read(reading, response)
        reading.complete = reading.usage is not None

    def event(self, reading: Reading, event: object) -> None:
        # A chunk has the shape of a response. A server that shows running totals in every chunk
        # has said its last word only once the model stopped.
        self._read(reading, event)
        choices = items(event, "choices")
        reading.finished = reading.finished or any(text(one, "finish_reason") for one in choices)
        if reading.usage is not None:
            reading.complete = reading.finished or not choices

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        parts = items(reading.usage, "usage_breakdown", "models")
        if not parts:
            return as_calls(openai_chat(reading.usage, self.counting))
        # Groq's compound systems: each model has its own price.
        return tuple(
            replace(measured, model=text(part, "model"))
            for part in parts
            if (measured := openai_chat(field(part, "usage"), self.counting)) is not None
        )

    def _read(self, reading: Reading, said: object) -> None:
        if self.within:
            said = field(said, self.within)
        reading.name(field(said, "id"), field(said, "model"))
        reading.service_tier = text(said, "service_tier") or reading.service_tier
        usage = field(said, "usage")
        if usage is None:
            # Groq shows it here to those who did not ask for it, and twice to those who did. In
            # a whole response the same name has statistics of the hardware.
            usage = field(said, "x_groq", "usage")
            if field(usage, "prompt_tokens") is None:
                return
        breakdown = field(said, "usage_breakdown") or field(said, "x_groq", "usage_breakdown")
        if items(breakdown, "models") and isinstance(usage, Mapping):
            usage = {**usage, "usage_breakdown": breakdown}
        reading.usage = usage
        reading.service_tier = text(usage, "service_tier") or reading.service_tier
        searched = units(usage, "num_search_queries")
        sources = units(usage, "num_sources_used")
        found = {"web_search": searched, "sources": sources}
        reading.requests = {kind: number for kind, number in found.items() if number}


@dataclass(frozen=True, slots=True)
class Responses:
    """``/responses``. Created, completed, incomplete and failed events carry the response."""

    fields = RESPONSES_FIELDS
    wanted = frozenset(
        f"{above}{name}"
        for above in ("", "response.")
        for name in ("id", "model", "usage", "service_tier", "status", "output.type")
    )

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b'"response"' in event

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), field(response, "model"))
        reading.service_tier = text(response, "service_tier") or reading.service_tier
        reading.pending = text(response, "status") in {"queued", "in_progress"}
        usage = field(response, "usage")
        if usage is not None:
            reading.usage = usage
            reading.complete = True
        output = field(response, "output")
        if isinstance(output, list):
            kinds = Counter(_HOSTED_TOOLS.get(text(item, "type"), "") for item in output)
            reading.requests = {kind: number for kind, number in kinds.items() if kind}

    def event(self, reading: Reading, event: object) -> None:
        response = field(event, "response")
        if response is not None:
            self.response(reading, response)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(openai_responses(reading.usage))


@dataclass(frozen=True, slots=True)
class Embeddings:
    """``/embeddings``, and the reranking of those who count it in the same words."""

    fields = CHAT_FIELDS
    wanted = frozenset({"id", "model", "usage"})

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return False

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), field(response, "model"))
        reading.usage = field(response, "usage")
        reading.complete = reading.usage is not None

    def event(self, reading: Reading, event: object) -> None:
        """Embeddings are never streamed."""

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(openai_embeddings(reading.usage))


_HOSTED_TOOLS = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
}
