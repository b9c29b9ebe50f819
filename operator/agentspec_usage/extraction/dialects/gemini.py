"""Google's APIs: generateContent and its relatives, interactions, predictions of Vertex."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentspec_usage.extraction.fields import count, field, items, known, text, units
from agentspec_usage.extraction.measured import Measured, as_calls, lawful
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.gemini import (
    GENERATE_FIELDS,
    INTERACTION_FIELDS,
    gemini_generate,
    gemini_interaction,
)
from agentspec_usage.metering.counts import TokenCounts

__all__ = ["GenerateContent", "Interactions", "Predict"]

_TIERS = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_OFFPEAK": "offpeak",
    "PROVISIONED_THROUGHPUT": "provisioned",
}


@dataclass(frozen=True, slots=True)
class GenerateContent:
    """``:generateContent``, ``:streamGenerateContent``, ``:embedContent``.

    Nearly every chunk of a stream has running totals, early ones without some fields: the last
    value of each field counts.
    """

    fields = GENERATE_FIELDS
    wanted = frozenset(
        {
            "responseId",
            "modelVersion",
            "usageMetadata",
            "candidates.finishReason",
            "candidates.groundingMetadata.webSearchQueries",
            "embeddings.statistics",
        }
    )

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b"usageMetadata" in event or b"finishReason" in event or not reading.model

    def response(self, reading: Reading, response: object) -> None:
        self._read(reading, response)
        if reading.usage is None:
            lengths = [field(one, "statistics") for one in items(response, "embeddings")]
            tokens = sum(known(count(one, "tokenCount")) for one in lengths)
            if tokens:
                reading.usage = {"promptTokenCount": tokens}
        reading.complete = reading.usage is not None

    def event(self, reading: Reading, event: object) -> None:
        self._read(reading, event)
        candidates = items(event, "candidates")
        reading.finished = reading.finished or any(text(one, "finishReason") for one in candidates)
        # A prompt that is refused has no candidates.
        reading.complete = reading.usage is not None and (reading.finished or not candidates)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(gemini_generate(reading.usage))

    @staticmethod
    def _read(reading: Reading, said: object) -> None:
        reading.name(field(said, "responseId"), field(said, "modelVersion"))
        usage = field(said, "usageMetadata")
        if isinstance(usage, Mapping):
            before = reading.usage if isinstance(reading.usage, dict) else {}
            seen = {name: value for name, value in usage.items() if value is not None}
            reading.usage = {**before, **seen}
            traffic = text(usage, "trafficType")
            tier = _TIERS.get(traffic, traffic.lower()) or text(usage, "serviceTier").lower()
            reading.service_tier = tier or reading.service_tier
        searches = sum(
            len(items(one, "groundingMetadata", "webSearchQueries"))
            for one in items(said, "candidates")
        )
        if searches:
            reading.requests = {"web_search": searches}


@dataclass(frozen=True, slots=True)
class Interactions:
    """``/interactions``. Those that need the client's tools end and are asked on: each is a call of
    its own, which is charged for its whole context.
    """

    fields = INTERACTION_FIELDS
    wanted = frozenset(
        f"{above}{name}"
        for above in ("", "interaction.")
        for name in ("id", "model", "usage", "status", "service_tier")
    )

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b'"interaction"' in event

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), field(response, "model"))
        reading.service_tier = text(response, "service_tier") or reading.service_tier
        reading.pending = text(response, "status") in {"queued", "in_progress"}
        usage = field(response, "usage")
        if usage is not None:
            reading.usage = usage
            reading.complete = not reading.pending
            searched = sum(
                units(one, "count")
                for one in items(usage, "grounding_tool_count")
                if text(one, "type") == "google_search"
            )
            reading.requests = {"web_search": searched} if searched else {}

    def event(self, reading: Reading, event: object) -> None:
        interaction = field(event, "interaction")
        if interaction is not None:
            self.response(reading, interaction)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(gemini_interaction(reading.usage))


@dataclass(frozen=True, slots=True)
class Predict:
    """Vertex's ``:predict``: embeddings that say their length, or images."""

    fields = frozenset({"predictions"})
    wanted = frozenset({"predictions.embeddings.statistics", "predictions.mimeType"})

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return False

    def response(self, reading: Reading, response: object) -> None:
        predictions = items(response, "predictions")
        lengths = [field(one, "embeddings", "statistics") for one in predictions]
        if any(length is not None for length in lengths):
            reading.usage = {"predictions": lengths}
        drawn = sum(text(one, "mimeType").startswith("image/") for one in predictions)
        reading.requests = {"images": drawn} if drawn else {}
        reading.complete = reading.usage is not None or drawn > 0

    def event(self, reading: Reading, event: object) -> None:
        """Predictions are never streamed."""

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        lengths = items(reading.usage, "predictions")
        if not lengths:
            return (Measured(TokenCounts(calls=1)),) if reading.requests else ()
        tokens = sum(known(count(one, "token_count")) for one in lengths)
        return (lawful(TokenCounts(input=tokens, calls=1)),)
