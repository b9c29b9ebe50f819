"""Bodies of providers, composed after the shapes that they publish.

OpenAI: the API reference's objects "chat completion", "chat completion chunk", "response" and
"create embeddings" with their streaming events (platform.openai.com/docs/api-reference). Anthropic:
"Messages" and "Streaming messages" (docs.anthropic.com/en/api). ``test_bodies.py`` has each parsed
by the provider's own types.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = [
    "ANTHROPIC_EVENTS",
    "ANTHROPIC_MESSAGE",
    "CHAT",
    "CHAT_ID",
    "EMBEDDINGS",
    "MESSAGE_ID",
    "RESPONSE",
    "RESPONSE_ID",
    "chat_chunks",
    "response_events",
    "sse",
]

CHAT_ID = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"
RESPONSE_ID = "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b"
MESSAGE_ID = "msg_01XFDUDYJgAACzvnptvVoYEL"

_CHAT_USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "prompt_tokens_details": {"cached_tokens": 800, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 300,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}

CHAT: dict[str, Any] = {
    "id": CHAT_ID,
    "object": "chat.completion",
    "created": 1741569952,
    "model": "gpt-5-2025-08-07",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello! How can I assist you today?",
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": _CHAT_USAGE,
    "service_tier": "default",
}


def chat_chunks(*, include_usage: bool) -> list[dict[str, Any]]:
    """The chunks of a streamed chat; the one with usage comes last, when it was asked for."""
    head = {
        "id": CHAT_ID,
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "gpt-5-2025-08-07",
        "service_tier": "default",
    }
    if include_usage:
        head["usage"] = None
    chunks: list[dict[str, Any]] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        for delta, reason in (
            ({"role": "assistant", "content": ""}, None),
            ({"content": "Hello"}, None),
            ({"content": "!"}, None),
            ({}, "stop"),
        )
    ]
    if include_usage:
        chunks.append({**head, "choices": [], "usage": _CHAT_USAGE})
    return chunks


RESPONSE: dict[str, Any] = {
    "id": RESPONSE_ID,
    "object": "response",
    "created_at": 1741476542,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "model": "gpt-5.6-2026-06-02",
    "output": [
        {
            "type": "web_search_call",
            "id": "ws_67ccf18f64008190a39b619f4c8455ef087bb177ab789d5c",
            "status": "completed",
            "action": {"type": "search", "query": "unicorns"},
        },
        {
            "type": "message",
            "id": "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "In a peaceful grove...", "annotations": []}
            ],
        },
    ],
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "service_tier": "priority",
    "usage": {
        "input_tokens": 3025,
        "input_tokens_details": {
            "cached_tokens": 0,
            "cache_write_tokens": 3022,
            "cache_write_tokens_details": {"ttl_30m_tokens": 3000, "ttl_12h_tokens": 22},
        },
        "output_tokens": 87,
        "output_tokens_details": {"reasoning_tokens": 60},
        "total_tokens": 3112,
    },
    "user": None,
    "metadata": {},
}


def response_events(last: str = "response.completed") -> list[dict[str, Any]]:
    """The events of a streamed response, ending in ``last``."""
    status = last.removeprefix("response.")
    begun = {**RESPONSE, "status": "in_progress", "usage": None, "output": []}
    return [
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {
            "type": "response.output_text.delta",
            "sequence_number": 1,
            "item_id": "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b",
            "output_index": 1,
            "content_index": 0,
            "delta": "In a peaceful grove...",
            "logprobs": [],
        },
        {"type": last, "sequence_number": 2, "response": {**RESPONSE, "status": status}},
    ]


EMBEDDINGS: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "embedding": [0.0023064255, -0.009327292], "index": 0}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}

_ANTHROPIC_INPUT = {
    "input_tokens": 504,
    "cache_creation_input_tokens": 123,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 23, "ephemeral_1h_input_tokens": 100},
}

ANTHROPIC_MESSAGE: dict[str, Any] = {
    "id": MESSAGE_ID,
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-20260410",
    "content": [{"type": "text", "text": "Hi! My name is Claude."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        **_ANTHROPIC_INPUT,
        "output_tokens": 97,
        "service_tier": "standard",
        "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    },
}

ANTHROPIC_EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            **ANTHROPIC_MESSAGE,
            "content": [],
            "stop_reason": None,
            "usage": {**_ANTHROPIC_INPUT, "output_tokens": 1, "service_tier": "standard"},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "Hi! My name is Claude."},
    },
    {
        "type": "message_delta",
        "delta": {"stop_reason": None, "stop_sequence": None},
        "usage": {"output_tokens": 40},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 97},
    },
    {"type": "message_stop"},
]


def sse(events: list[dict[str, Any]], *, named: bool, done: bool) -> list[bytes]:
    """The events as the provider frames them."""
    framed = [
        (f"event: {event['type']}\n" if named else "").encode()
        + f"data: {json.dumps(event)}\n\n".encode()
        for event in events
    ]
    return [*framed, b"data: [DONE]\n\n"] if done else framed
