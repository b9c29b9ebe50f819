"""Decoding usage events: what senders tell that neither number their calls nor wait for an answer.

    {events: [{model, provider?, sessionId?, runId?, parentRunId?, eventId?, timestamp?,
               inputTokens?, outputTokens?, totalTokens?, cacheReadTokens?, cacheWriteTokens?,
               reasoningTokens?, toolCalls?}]}

Whose events they are is said by the credential: an agent named in the body is ignored. A model may
be written ``provider/model``. A body is taken whole or refused whole; what its numbers mean
together is ``metering.usage_event``'s.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT
from agentspec_usage.metering.usage_event import UsageEvent, event_counts
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.records import Name
from agentspec_usage.wire.shapes import Count, Shape, Time, wire_error

__all__ = ["MAX_EVENTS", "MAX_EVENTS_BODY", "EventBody", "EventsBody", "decode_events"]

MAX_EVENTS = 500
"""Events of one body."""

MAX_EVENTS_BODY = 512 * 1024
"""Bytes of a body, inflated: about 1 KiB an event, several times what one has."""


def _named(model: str) -> str:
    if not model:
        raise PydanticCustomError("model", "Input should be a model's name")
    return model


class EventBody(Shape):
    """One model call."""

    model: Annotated[Name, AfterValidator(_named)]
    provider: Name = ""
    session_id: Name = ""
    run_id: Name = ""
    parent_run_id: Name = ""
    event_id: Name = Field("", description="an id that is counted once if it comes again soon")
    timestamp: Time | None = Field(None, description="RFC 3339; without it, when it arrived")
    input_tokens: Count | None = Field(None, description="with the cached ones")
    output_tokens: Count | None = Field(None, description="with the reasoning")
    total_tokens: Annotated[int, Field(ge=-MAX_COUNT, le=MAX_COUNT)] | None = Field(
        None, description="without it input + output; below 1 is none"
    )
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    reasoning_tokens: Count = 0
    tool_calls: Count = 0

    def event(self, agent_id: str, received_at: int) -> UsageEvent:
        provider, slash, model = self.model.partition("/")
        if self.provider or not (provider and slash and model):
            provider, model = self.provider, self.model.removeprefix(f"{self.provider}/")
        counts, total = event_counts(
            self.input_tokens,
            self.output_tokens,
            self.total_tokens,
            cache_read=self.cache_read_tokens,
            cache_write=self.cache_write_tokens,
            reasoning=self.reasoning_tokens,
        )
        return UsageEvent(
            agent_id,
            received_at if self.timestamp is None else self.timestamp,
            provider,
            model,
            counts,
            total,
            self.tool_calls,
            self.session_id,
            self.run_id,
            self.parent_run_id,
            self.event_id,
        )


class EventsBody(Shape):
    """The body of ``POST /usage/events``."""

    events: Annotated[list[EventBody], Field(max_length=MAX_EVENTS)]


def decode_events(body: bytes, agent_id: str, received_at: int) -> tuple[UsageEvent, ...]:
    """The agent's events in ``body``. Raises ``WireError``, which names the field."""
    document = strict_json.loads(body, max_bytes=MAX_EVENTS_BODY)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        events = EventsBody.model_validate(document).events
    except ValidationError as error:
        raise wire_error(error) from None
    return tuple(event.event(agent_id, received_at) for event in events)
