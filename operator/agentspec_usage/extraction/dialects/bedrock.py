"""AWS Bedrock: Converse, and models that are invoked with their vendor's own body.

An event of its binary streams is read as ``{event type: payload}``, as AWS' own clients show it.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.dialects.anthropic import Messages
from agentspec_usage.extraction.fields import count, field, items, known, text
from agentspec_usage.extraction.framing.json_value import read_json
from agentspec_usage.extraction.measured import Measured, as_calls, lawful
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.anthropic import MESSAGES_FIELDS
from agentspec_usage.extraction.usage.bedrock import (
    CONVERSE_FIELDS,
    METRICS_FIELDS,
    bedrock_converse,
    bedrock_headers,
    bedrock_metrics,
)
from agentspec_usage.extraction.usage.openai import CHAT_FIELDS, Counting, openai_chat
from agentspec_usage.metering.counts import TokenCounts

__all__ = ["Converse", "InvokeModel"]

_MESSAGES = Messages()


@dataclass(frozen=True, slots=True)
class Converse:
    """``/model/{id}/converse`` and ``/converse-stream``, whose last event is ``metadata``."""

    fields = CONVERSE_FIELDS
    wanted = frozenset(
        {
            "usage",
            "serviceTier.type",
            "performanceConfig.latency",
            "trace.promptRouter.invokedModelId",
        }
    )

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b'"usage"' in event

    def response(self, reading: Reading, response: object) -> None:
        reading.name(
            reading.headers.get("x-amzn-requestid"),
            _routed_model(text(response, "trace", "promptRouter", "invokedModelId")),
        )
        reading.service_tier = _tier(response) or reading.service_tier
        usage = field(response, "usage")
        if usage is not None:
            reading.usage = usage
            reading.complete = True

    def event(self, reading: Reading, event: object) -> None:
        metadata = field(event, "metadata")
        if metadata is not None:
            self.response(reading, metadata)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(bedrock_converse(reading.usage))


@dataclass(frozen=True, slots=True)
class InvokeModel:
    """``/model/{id}/invoke`` and ``/invoke-with-response-stream``.

    The body is its vendor's, and the model's id may be a name that tells no vendor. The vendors'
    names for their counts differ, so here the names decide. Without any, Bedrock's own count does:
    headers, or what it puts into a stream's last chunk.
    """

    fields = (
        MESSAGES_FIELDS
        | CONVERSE_FIELDS
        | CHAT_FIELDS
        | {"results", "inputTextTokenCount"}
        | {f"metrics.{name}" for name in METRICS_FIELDS}
        | {"prompt_token_count", "generation_token_count"}
    )
    wanted = frozenset(
        {
            "id",
            "model",
            "type",
            "usage",
            "inputTextTokenCount",
            "results.tokenCount",
            "prompt_token_count",
            "generation_token_count",
        }
    )

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return b'"bytes"' in event

    def response(self, reading: Reading, response: object) -> None:
        reading.service_tier = reading.headers.get("x-amzn-bedrock-service-tier", "")
        self._name(reading, response)
        if field(response, "usage", "input_tokens") is not None:
            _MESSAGES.response(reading, response)
            reading.model = ""  # the one in the path has Bedrock's price
        else:
            reading.usage = _vendor_usage(response)
        reading.complete = reading.usage is not None or bedrock_headers(reading.headers) is not None

    def event(self, reading: Reading, event: object) -> None:
        chunk = _chunk(field(event, "chunk", "bytes"))
        if chunk is None:
            return
        metrics = field(chunk, "amazon-bedrock-invocationMetrics")
        if text(chunk, "type").startswith("message_"):
            self._name(reading, field(chunk, "message"))
            _MESSAGES.event(reading, chunk)
            reading.model = ""
        else:
            self._name(reading, chunk)
            usage = _vendor_usage(field(chunk, "metadata") or chunk)
            if usage is not None:
                reading.usage = usage
        if metrics is not None:
            reading.complete = True
            if reading.usage is None:
                reading.usage = {"metrics": metrics}

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        usage = reading.usage
        if usage is None:
            return as_calls(bedrock_headers(reading.headers))
        if field(usage, "metrics") is not None:
            return as_calls(bedrock_metrics(field(usage, "metrics")))
        if field(usage, "input_tokens") is not None:
            return _MESSAGES.measured(reading)
        for read in (bedrock_converse, _openai, _llama, _titan):
            measured = read(usage)
            if measured is not None:
                return (measured,)
        return as_calls(bedrock_headers(reading.headers))

    @staticmethod
    def _name(reading: Reading, said: object) -> None:
        response_id = text(said, "id") or reading.response_id
        reading.name(response_id or reading.headers.get("x-amzn-requestid"), None)


def _vendor_usage(body: object) -> object:
    """The usage object, or the counts of those who put them beside the text."""
    usage = field(body, "usage")
    if usage is not None:
        return usage
    if not isinstance(body, Mapping):
        return None
    beside = ("prompt_token_count", "generation_token_count", "inputTextTokenCount", "results")
    found = {name: body[name] for name in beside if body.get(name) is not None}
    return found or None


def _openai(usage: object) -> Measured | None:
    return openai_chat(usage, Counting.INSIDE)


def _llama(usage: object) -> Measured | None:
    size, output = count(usage, "prompt_token_count"), count(usage, "generation_token_count")
    if size is None and output is None:
        return None
    counts = TokenCounts(input=known(size), output=known(output), calls=1)
    return lawful(counts, partial=size is None)


def _titan(usage: object) -> Measured | None:
    size = count(usage, "inputTextTokenCount")
    if size is None:
        return None
    output = sum(known(count(one, "tokenCount")) for one in items(usage, "results"))
    return lawful(TokenCounts(input=size, output=output, calls=1))


def _chunk(encoded: object) -> object:
    if not isinstance(encoded, str):
        return None
    try:
        return read_json(b64decode(encoded, validate=True))
    except (Base64Error, ValueError) as error:
        raise WireError("chunk.bytes", "base64") from error


def _tier(response: object) -> str:
    """Answers with optimised latency have prices of their own, whatever the tier."""
    if text(response, "performanceConfig", "latency") == "optimized":
        return "optimized"
    return text(response, "serviceTier", "type")


def _routed_model(name: str) -> str:
    return name.rpartition("/")[2]
