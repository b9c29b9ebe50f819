"""Decoding what an agent's framework pushes: ``POST /events``.

The body as a whole is judged strictly, a single event leniently, as AgentSpec's own sidecar does: a
push may carry events of a newer framework, and one that is not understood must not cost the others.
It is left out and counted. Tokens are another matter: a model event that names its model is a call
that took place, so where its counts are none the call is unmetered, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.names import showable_name
from agentspec_usage.metering.series import SeriesKey, context_class
from agentspec_usage.sidecar.audit.entry import Behavior, ModelCall
from agentspec_usage.wire import strict_json

__all__ = ["MAX_EVENTS", "MAX_PUSH", "EventPush", "decode_push"]

MAX_PUSH = 65_536
"""Bytes of a push."""

MAX_EVENTS = 500
MAX_AGENT_NAME = 64
"""Characters; what is longer is cut."""
MAX_REQUEST_ID = 256
"""Characters: a longer one is no id that this proxy or an SDK gave."""


@dataclass(frozen=True, slots=True)
class EventPush:
    """What was told of one request. ``used`` has each model event as one call in its series;
    ``not_understood`` counts events that were left out.
    """

    request_id: str
    agent_name: str
    behavior: Behavior
    used: tuple[tuple[SeriesKey, TokenCounts], ...] = ()
    not_understood: int = 0


def decode_push(body: bytes) -> EventPush:
    """Raises ``WireError`` for a body that is no push."""
    document = strict_json.loads(body, max_bytes=MAX_PUSH)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    request_id = document.get("requestId")
    if not isinstance(request_id, str) or not 0 < len(request_id) <= MAX_REQUEST_ID:
        raise WireError("requestId", f"a text of 1 to {MAX_REQUEST_ID} characters")
    events = document.get("events")
    if not isinstance(events, list) or len(events) > MAX_EVENTS:
        raise WireError("events", f"a list of at most {MAX_EVENTS} events")
    agent_name = document.get("agentName")
    named = showable_name(agent_name[:MAX_AGENT_NAME]) if isinstance(agent_name, str) else ""
    return _Reading().of(request_id, named, events)


class _Reading:
    """What the events of one push say, one after another."""

    def __init__(self) -> None:
        self._guardrails: list[str] = []
        self._tools: list[str] = []
        self._model_calls: list[ModelCall] = []
        self._used: list[tuple[SeriesKey, TokenCounts]] = []

    def of(self, request_id: str, agent_name: str, events: list[object]) -> EventPush:
        understood = [self._take(event) for event in events]
        return EventPush(
            request_id,
            agent_name,
            Behavior(tuple(self._guardrails), tuple(self._tools), tuple(self._model_calls)),
            tuple(self._used),
            understood.count(False),
        )

    def _take(self, event: object) -> bool:
        """Whether ``event`` was understood."""
        if not isinstance(event, dict):
            return False
        match event:
            case {"type": "guardrail", "guardrailType": str(name)}:
                # One that did not run guarded nothing.
                if event.get("invoked") is True:
                    self._guardrails.append(showable_name(name))
            case {"type": "tool", "name": str(name)}:
                self._tools.append(showable_name(name))
            case {"type": "model", "modelId": str(model_id)}:
                series, counts = _call(model_id, event)
                tokens = None if counts.unmetered_calls else counts.total
                self._model_calls.append(ModelCall(showable_name(model_id), tokens))
                self._used.append((series, counts))
            case {"type": "memory"}:
                pass  # AgentSpec's entry has no field for it
            case _:
                return False
        return True


def _call(model_id: str, event: Mapping[str, object]) -> tuple[SeriesKey, TokenCounts]:
    """One model event: one call. A total alone counts as input, which it mostly is."""
    provider, slash, model = model_id.partition("/")
    if not slash:
        provider, model = "", provider
    prompt, completion = event.get("promptTokens"), event.get("completionTokens")
    if prompt is None and completion is None:
        prompt, completion = event.get("tokenCount"), 0
    elif prompt is None:
        prompt = 0
    elif completion is None:
        completion = 0
    if not (_is_count(prompt) and _is_count(completion)):
        return SeriesKey(provider, model), TokenCounts(calls=1, unmetered_calls=1)
    key = SeriesKey(provider, model, context_class=context_class(prompt))
    return key, TokenCounts(input=prompt, output=completion, calls=1)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= MAX_COUNT
