"""The lines of ``token-usage.jsonl``: a closed list of fields, so that nothing else can get in.

``input_tokens`` is what the provider itself calls so, because who reads this file compares it with
the provider's own numbers; ``input_tokens_include_cache`` says whether cached tokens are in it.
"""

from __future__ import annotations

import json

from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.names import showable_name
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.sidecar.calls import ProxiedRequest

__all__ = ["SCHEMA", "usage_line"]

SCHEMA = "token-usage/v1.0.0"


def usage_line(
    request: ProxiedRequest,
    call: ReadCall,
    *,
    at: int,
    status: int,
    streaming: bool,
    duration_ms: int,
    response_bytes: int | None,
) -> bytes:
    """One call as a line. ``at`` in ms, UTC."""
    counts = call.counts
    fields: dict[str, object] = {
        "_schema": SCHEMA,
        "timestamp": to_rfc3339(at),
        "event": "token_usage",
        "request_id": request.key,
        "provider": showable_name(call.key.provider),
        "model": showable_name(call.key.model or call.request_model) or "unknown",
        "path": showable_name(request.path),
        "status": status,
        "streaming": streaming,
        "input_tokens": call.provider_input_tokens,
        "input_tokens_include_cache": call.input_includes_cache,
        "output_tokens": counts.output,
        "cache_read_tokens": counts.cache_read,
        "cache_write_tokens": counts.cache_write,
        "duration_ms": duration_ms,
    }
    if counts.reasoning:
        fields["reasoning_tokens"] = counts.reasoning
    if response_bytes is not None:
        fields["response_bytes"] = response_bytes
    if call.status is CallStatus.ABORTED:
        # What was seen before the stream broke: a lower bound, and not to be taken for the whole.
        fields["aborted"] = True
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
