"""The API surfaces of OpenAI and Anthropic, as their clients' typed objects or JSON say them.

Usage-only chunks are recognised by their usage, not by empty choices: Azure sends chunks without
choices first, Mistral sends usage beside the last choice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from agentspec_usage.sdk.reading import ApiSurface, Reading
from agentspec_usage.sdk.usage_fields import (
    Measured,
    anthropic_messages,
    field,
    openai_chat,
    openai_embeddings,
    openai_responses,
)

__all__ = ["ANTHROPIC", "OPENAI", "ChatCompletions"]


@dataclass(frozen=True, slots=True)
class ChatCompletions:
    """``/chat/completions``, and ``/completions`` before it."""

    operation: str = "chat"

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), field(response, "model"))
        reading.service_tier = _text(field(response, "service_tier")) or reading.service_tier
        usage = field(response, "usage")
        if usage is not None:
            reading.usage = usage
            reading.complete = True

    def event(self, reading: Reading, event: object) -> None:
        # A chunk has the shape of a response.
        self.response(reading, event)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return _one(openai_chat(reading.usage))


@dataclass(frozen=True, slots=True)
class Responses:
    """``/responses``."""

    operation: str = "chat"

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), field(response, "model"))
        reading.service_tier = _text(field(response, "service_tier")) or reading.service_tier
        usage = field(response, "usage")
        if usage is not None:
            reading.usage = usage
            reading.complete = True
        output = field(response, "output")
        if isinstance(output, list):
            kinds = Counter(_HOSTED_TOOLS.get(_text(field(item, "type")), "") for item in output)
            reading.requests = {kind: number for kind, number in kinds.items() if kind}

    def event(self, reading: Reading, event: object) -> None:
        # Created, completed, incomplete and failed carry the response; the rest are parts of it.
        response = field(event, "response")
        if response is not None:
            self.response(reading, response)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return _one(openai_responses(reading.usage))


@dataclass(frozen=True, slots=True)
class Embeddings:
    """``/embeddings``."""

    operation: str = "embeddings"

    def response(self, reading: Reading, response: object) -> None:
        reading.name(None, field(response, "model"))
        reading.usage = field(response, "usage")
        reading.complete = reading.usage is not None

    def event(self, reading: Reading, event: object) -> None:
        """Embeddings are never streamed."""

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return _one(openai_embeddings(reading.usage))


@dataclass(frozen=True, slots=True)
class Messages:
    """``/v1/messages``."""

    operation: str = "chat"

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), field(response, "model"))
        self._merge(reading, field(response, "usage"))
        reading.complete = reading.usage is not None

    def event(self, reading: Reading, event: object) -> None:
        kind = field(event, "type")
        if kind == "message_start":
            message = field(event, "message")
            reading.name(field(message, "id"), field(message, "model"))
            self._merge(reading, field(message, "usage"))
        elif kind == "message_delta":
            self._merge(reading, field(event, "usage"))
        elif kind == "message_stop":
            reading.complete = True

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return anthropic_messages(reading.usage)

    @staticmethod
    def _merge(reading: Reading, usage: object) -> None:
        """The last value that is not null wins, field by field."""
        if usage is None:
            return
        known = reading.usage if isinstance(reading.usage, dict) else {}
        seen = {name: value for name in _ANTHROPIC if (value := field(usage, name)) is not None}
        merged = reading.usage = {**known, **seen}
        reading.service_tier = _tier(merged.get("service_tier"), merged.get("speed"))
        region = _text(merged.get("inference_geo"))
        reading.region = "" if region == "not_available" else region
        tools = merged.get("server_tool_use")
        reading.requests = {
            kind: number
            for kind in ("web_search", "web_fetch")
            if type(number := field(tools, f"{kind}_requests")) is int and number > 0
        }


_ANTHROPIC = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens_details",
    "server_tool_use",
    "service_tier",
    "speed",
    "inference_geo",
    "iterations",
)

_HOSTED_TOOLS = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
}

OPENAI: dict[str, ApiSurface] = {
    "/chat/completions": ChatCompletions(),
    "/completions": ChatCompletions("text_completion"),
    "/responses": Responses(),
    "/responses/compact": Responses(),
    "/embeddings": Embeddings(),
}
"""By the path of a POST. What only looks like usage (counting tokens, reading a stored response) is
not here."""

ANTHROPIC: dict[str, ApiSurface] = {"/v1/messages": Messages()}


def _one(measured: Measured | None) -> tuple[Measured, ...]:
    return () if measured is None else (measured,)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _tier(tier: object, speed: object) -> str:
    """Anthropic's fast speed has prices of its own, whatever the tier."""
    return "fast" if speed == "fast" else _text(tier)
