"""Exchanges as the proxy tells of them."""

from __future__ import annotations

from typing import Any

from agentspec_usage.extraction.request import RequestFacts
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sidecar.calls import EndedBy, ProxiedEnd, ProxiedRequest

__all__ = ["CHAT", "WALL", "a_call", "a_request", "an_end", "chat_facts"]

CHAT = "/v1/chat/completions"
WALL = 1_790_000_000_000
"""When requests begin, unless said otherwise: where ``HandClock`` starts."""

STEADY = 1_000_000


def chat_facts(**changes: Any) -> RequestFacts:
    route = find_route("openai", "POST", CHAT)
    assert route is not None
    return RequestFacts(route, **{"model": "gpt-5", **changes})


def a_request(key: str = "r-1", **changes: Any) -> ProxiedRequest:
    """A chat call that begins."""
    fields: dict[str, Any] = {
        "call_id": "",
        "method": "POST",
        "path": CHAT,
        "began": Now(STEADY, WALL),
        "facts": chat_facts(),
    }
    return ProxiedRequest(key, **{**fields, **changes})


def a_call(input_tokens: int = 100, output_tokens: int = 20, **changes: Any) -> ReadCall:
    """A call of gpt-5 whose usage was read; ``counts`` adds components."""
    counts = TokenCounts(
        input=input_tokens, output=output_tokens, calls=1, **changes.pop("counts", {})
    )
    return ReadCall(changes.pop("key", SeriesKey("openai", "gpt-5")), counts, **changes)


def an_end(*calls: ReadCall, after_ms: int = 250, **changes: Any) -> ProxiedEnd:
    """An exchange that ended well, with what extraction says of it."""
    fields: dict[str, Any] = {
        "status": 200,
        "ended_by": EndedBy.UPSTREAM,
        "ended": Now(STEADY + after_ms, WALL + after_ms),
        "duration_ms": after_ms,
        "extraction": Extraction(calls),
        "response_bytes": 4096,
    }
    return ProxiedEnd(**{**fields, **changes})
