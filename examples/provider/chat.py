"""OpenAI's chat completions on the wire: whole, and as a stream of chunks.

A request that offers tools is answered with a call of the first one, until the conversation ends in
a tool's answer.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from examples.provider.bill import Usage

__all__ = ["chat_completion", "chat_events"]

Json = Mapping[str, Any]

_WORDS = ("Forty", "-two", ", ", "I", " think", ".")


def chat_completion(request: Json, usage: Usage) -> Json:
    """The answer to a request without ``stream``."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(_WORDS), "refusal": None}
    calls, reason = _tool_calls(request), "stop"
    if calls:
        message |= {"content": None, "tool_calls": calls}
        reason = "tool_calls"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
    head = _head(request, "chat.completion")
    return {**head, "choices": [choice], "usage": _usage(usage)}


def chat_events(request: Json, usage: Usage) -> Iterator[bytes]:
    """The answer as server-sent events. The last chunk has the usage if it was asked for."""
    head = _head(request, "chat.completion.chunk")
    asked = (request.get("stream_options") or {}).get("include_usage", False)
    if asked:
        head["usage"] = None
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    calls, reason = _tool_calls(request), "stop"
    if calls:
        deltas.append({"tool_calls": [{"index": 0, **calls[0]}]})
        reason = "tool_calls"
    else:
        deltas += [{"content": word} for word in _WORDS]
    for delta in deltas:
        yield _event({**head, "choices": [_choice(delta, None)]})
    yield _event({**head, "choices": [_choice({}, reason)]})
    if asked:
        yield _event({**head, "choices": [], "usage": _usage(usage)})
    yield b"data: [DONE]\n\n"


def _head(request: Json, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": request["model"],
        "service_tier": "default",
    }


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }


def _tool_calls(request: Json) -> list[Json]:
    if not request.get("tools") or request["messages"][-1]["role"] == "tool":
        return []
    tool = request["tools"][0]["function"]
    arguments = dict.fromkeys(tool["parameters"].get("required", ()), "tokens")
    called = {"name": tool["name"], "arguments": json.dumps(arguments)}
    return [{"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": called}]


def _choice(delta: Json, reason: str | None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _event(chunk: Json) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()
