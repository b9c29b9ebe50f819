"""Usage as LangChain's messages carry it, read without importing LangChain.

Three places, the best first: ``usage_metadata`` (LangChain's own shape, counts canonical already),
``response_metadata["token_usage" | "usage"]`` and ``additional_kwargs["usage"]`` (the provider's
shape, told apart by its field names).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentspec_usage.extraction.fields import field
from agentspec_usage.extraction.measured import Measured, lawful
from agentspec_usage.extraction.response_ids import unique_response_id
from agentspec_usage.extraction.usage.anthropic import anthropic_messages
from agentspec_usage.extraction.usage.openai import openai_chat, openai_responses
from agentspec_usage.metering.counts import TokenCounts

__all__ = [
    "MessageUsage",
    "added_ai_messages",
    "is_ai",
    "is_chunk",
    "message_usage",
    "usage_metadata",
]

_DEPTH = 3
"""How deep messages stand in what a node returns: ``Command.update["messages"][0]``."""


@dataclass(frozen=True, slots=True)
class MessageUsage:
    """What one message says of the call that made it. ``measured`` is None without usage."""

    measured: Measured | None
    provider: str
    model: str
    response_id: str
    service_tier: str

    @property
    def from_model(self) -> bool:
        """Whether a model made the message. One that names neither was written by the host."""
        return self.measured is not None or bool(self.model)


def message_usage(message: object) -> MessageUsage:
    """The usage of an AI message, or of a mapping in its shape. May raise WireError."""
    said = field(message, "response_metadata")
    response_id = unique_response_id(field(said, "id"))
    return MessageUsage(
        measured=_measured(message),
        provider=_text(field(said, "model_provider")),
        model=_text(field(said, "model_name")) or _text(field(said, "model")),
        response_id=response_id or unique_response_id(field(message, "id")),
        service_tier=_text(field(said, "service_tier")),
    )


def usage_metadata(usage: object) -> Measured | None:
    """LangChain's ``UsageMetadata``: input and output include their details."""
    size, output = field(usage, "input_tokens"), field(usage, "output_tokens")
    total = field(usage, "total_tokens")
    if type(size) is not int or type(output) is not int:
        return _provider_shape(usage)
    short = _part(usage, "input_token_details", "ephemeral_5m_input_tokens")
    long = _part(usage, "input_token_details", "ephemeral_1h_input_tokens")
    written = _part(usage, "input_token_details", "cache_creation")
    if type(total) is int and not size and not output:
        size = total
    counts = TokenCounts(
        input=size,
        output=output,
        cache_read=_part(usage, "input_token_details", "cache_read"),
        cache_write_5m=short,
        cache_write_1h=long,
        cache_write_unspecified=max(written - short - long, 0),
        reasoning=_part(usage, "output_token_details", "reasoning"),
        audio_in=_part(usage, "input_token_details", "audio"),
        audio_out=_part(usage, "output_token_details", "audio"),
        calls=1,
    )
    return lawful(counts, total if type(total) is int else None)


def is_ai(message: object) -> bool:
    """Whether a model, or the host in a model's name, speaks in this message."""
    if field(message, "type") in {"ai", "AIMessageChunk"}:
        return True
    return isinstance(message, Mapping) and message.get("role") == "assistant"


def is_chunk(message: object) -> bool:
    """Whether this is a part of a streamed message."""
    return field(message, "type") == "AIMessageChunk"


def added_ai_messages(before: object, after: object) -> list[object]:
    """The AI messages in ``after`` that were not in ``before`` already: by identity, or by id."""
    known = _ai_messages(before)
    objects = {id(message) for message in known}
    ids = {name for message in known if (name := field(message, "id"))}
    return [
        message
        for message in _ai_messages(after)
        if id(message) not in objects and field(message, "id") not in ids
    ]


def _ai_messages(value: object, depth: int = _DEPTH) -> list[object]:
    if is_ai(value):
        return [value]
    if depth == 0 or isinstance(value, str | bytes):
        return []
    members: list[object] = []
    if isinstance(value, Mapping):
        members = list(value.values())
    elif isinstance(value, list | tuple):
        members = list(value)
    elif value is not None:
        # A Command carries its update, a state that is an object its messages.
        members = [field(value, "update"), field(value, "messages")]
    return [found for member in members for found in _ai_messages(member, depth - 1)]


def _measured(message: object) -> Measured | None:
    for read, path in (
        (usage_metadata, ("usage_metadata",)),
        (_provider_shape, ("response_metadata", "token_usage")),
        (_provider_shape, ("response_metadata", "usage")),
        (_provider_shape, ("additional_kwargs", "usage")),
    ):
        usage = field(message, *path)
        measured = None if usage is None else read(usage)
        if measured is not None:
            return measured
    return None


def _provider_shape(usage: object) -> Measured | None:
    """A provider's own object, by its names: Anthropic's alone count the cache beside the input."""
    if field(usage, "prompt_tokens") is not None or field(usage, "completion_tokens") is not None:
        return openai_chat(usage)
    if (
        field(usage, "cache_read_input_tokens") is not None
        or field(usage, "cache_creation_input_tokens") is not None
    ):
        return next(iter(anthropic_messages(usage)), None)
    if field(usage, "input_tokens") is not None:
        return openai_responses(usage)
    return openai_chat(usage)


def _part(usage: object, details: str, name: str) -> int:
    """The part ``name``, which OpenAI's integration prefixes with the tier on some tiers."""
    for prefix in ("", "priority_", "flex_"):
        value = field(usage, details, prefix + name)
        if type(value) is int:
            return value
    return 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
