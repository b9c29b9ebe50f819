"""Anthropic's messages on the wire: whole, and as a stream of events.

Its ``input_tokens`` leave out what was read from and written to the cache, and in a stream the
input comes at the beginning and the output at the end.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from examples.provider.bill import Usage

__all__ = ["message", "message_events"]

Json = Mapping[str, Any]

_WORDS = ("Once", " upon", " a", " token", ".")


def message(request: Json, usage: Usage) -> Json:
    """The answer to a request without ``stream``."""
    return {
        "id": f"msg_{secrets.token_hex(12)}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [{"type": "text", "text": "".join(_WORDS)}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {**_input(usage), "output_tokens": usage.completion},
    }


def message_events(request: Json, usage: Usage) -> Iterator[bytes]:
    """The answer as server-sent events."""
    begun = {
        **message(request, usage),
        "content": [],
        "stop_reason": None,
        "usage": {**_input(usage), "output_tokens": 1},
    }
    yield _event("message_start", message=begun)
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in _WORDS:
        yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield _event("content_block_stop", index=0)
    yield _event(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": usage.completion},
    )
    yield _event("message_stop")


def _input(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt - usage.cached - usage.written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": usage.written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.written,
            "ephemeral_1h_input_tokens": 0,
        },
        "service_tier": "standard",
    }


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
