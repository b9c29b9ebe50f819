"""What a call may say of itself beyond its model and its two counts, and what the ledger makes of
it.

A call is recorded often and says little, so what it leaves out costs nothing: its counts are the
parts of the count vector that it names, and its series is made once for each way of saying it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypedDict

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.metering.record import CallContext
from agentspec_usage.metering.series import MAX_SERIES, SeriesKey, context_class

__all__ = ["CallDetails", "identity_of", "key_of", "parts_of", "series_key"]


class CallDetails(TypedDict, total=False):
    """What a call may say beyond its model and its two counts."""

    cache_read_tokens: int
    cache_write_5m_tokens: int
    cache_write_30m_tokens: int
    cache_write_1h_tokens: int
    cache_write_12h_tokens: int
    cache_write_tokens: int
    """Of a time to live that is not known."""
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    image_input_tokens: int
    image_output_tokens: int
    unmetered: bool
    """The call's usage could not be read: one call, no tokens."""
    provider: str | None
    operation: str
    service_tier: str
    region: str
    batch: bool
    call_id: str | None
    response_id: str | None
    context: CallContext | None


_COMPONENT_OF = {
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_30m_tokens": "cache_write_30m",
    "cache_write_1h_tokens": "cache_write_1h",
    "cache_write_12h_tokens": "cache_write_12h",
    "cache_write_tokens": "cache_write_unspecified",
    "reasoning_tokens": "reasoning",
    "audio_input_tokens": "audio_in",
    "audio_output_tokens": "audio_out",
    "image_input_tokens": "image_in",
    "image_output_tokens": "image_out",
}
_POSITIONS = {name: COMPONENTS.index(component) for name, component in _COMPONENT_OF.items()}
_INPUT, _OUTPUT, _CALLS, _UNMETERED = (
    COMPONENTS.index(name) for name in ("input", "output", "calls", "unmetered_calls")
)


def parts_of(prompt_tokens: int, completion_tokens: int, details: CallDetails) -> dict[int, int]:
    """The components of the count vector that the call names, by their positions, unchecked."""
    parts = {_INPUT: prompt_tokens, _OUTPUT: completion_tokens, _CALLS: 1}
    for name, value in details.items():
        position = _POSITIONS.get(name)
        if position is not None:
            parts[position] = value  # type: ignore[assignment]  # checked where it is counted
    if details.get("unmetered"):
        parts[_UNMETERED] = 1
    return parts


def key_of(model_id: str, prompt_tokens: int, details: CallDetails) -> SeriesKey:
    """The series of a call."""
    return series_key(
        model_id,
        details.get("provider"),
        operation=details.get("operation", "chat"),
        service_tier=details.get("service_tier", ""),
        region=details.get("region", ""),
        batch=bool(details.get("batch")),
        context_class=context_class(prompt_tokens) if type(prompt_tokens) is int else 0,
    )


def identity_of(details: CallDetails) -> tuple[str, str, CallContext | None]:
    """Call id, response id and context. Ids are taken as text, whatever they were (a ``UUID``)."""
    context = details.get("context")
    return (
        _text(details.get("call_id")),
        _text(details.get("response_id")),
        context if isinstance(context, CallContext) else None,
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


@lru_cache(maxsize=MAX_SERIES)
def series_key(
    model_id: str,
    provider: str | None = None,
    *,
    operation: str = "chat",
    service_tier: str = "",
    region: str = "",
    batch: bool = False,
    context_class: int = 0,
) -> SeriesKey:
    """The series of a model id as AgentSpec writes it: ``provider/model``, or the bare model."""
    model = model_id
    if provider is None:
        before, slash, after = model_id.partition("/")
        provider, model = (before, after) if slash else ("", model_id)
    else:
        model = model_id.removeprefix(f"{provider}/")
    return SeriesKey(provider, model, operation, service_tier, region, batch, context_class)
