"""Cohere's own APIs, versions 1 and 2."""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.extraction.fields import field, text
from agentspec_usage.extraction.measured import Measured, as_calls
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.cohere import COHERE_FIELDS, cohere_units, cohere_usage

__all__ = ["Cohere"]


@dataclass(frozen=True, slots=True)
class Cohere:
    """Chat, embeddings and reranking. Version 2's chat says ``usage``, everything else ``meta``.
    No answer names its model.
    """

    fields = COHERE_FIELDS
    wanted = frozenset(
        {
            "id",
            "generation_id",
            "usage",
            "meta",
            "type",
            "event_type",
            "delta.usage",
            "response.meta",
            "response.generation_id",
        }
    )

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return not reading.response_id or b"billed_units" in event or b"message-end" in event

    def response(self, reading: Reading, response: object) -> None:
        response_id = text(response, "id") or text(response, "generation_id")
        reading.name(response_id, None)
        usage = field(response, "usage")
        if usage is None:
            usage = field(response, "meta")
        if usage is not None:
            reading.usage = usage
            reading.requests = cohere_units(usage)
            reading.complete = True

    def event(self, reading: Reading, event: object) -> None:
        kind = text(event, "type") or text(event, "event_type")
        if kind == "message-start":
            reading.name(field(event, "id"), None)
        elif kind == "message-end":
            self.response(reading, field(event, "delta"))
        elif kind == "stream-end":
            self.response(reading, field(event, "response"))
        elif kind == "stream-start":
            reading.name(field(event, "generation_id"), None)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(cohere_usage(reading.usage))
