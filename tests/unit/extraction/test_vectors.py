"""Usage objects with the counts that they come to, worked out by hand.

The last two are of whole responses: a stream whose numbers are cumulative, and a response with
several iterations.
"""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.extraction.exchange import ExchangeReader
from agentspec_usage.extraction.request import read_request
from agentspec_usage.extraction.routing import find_route
from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.counts import TokenCounts
from tests.fixtures.bodies.body import document, sse


def calls(provider: str, path: str, answer: bytes, media: str = "") -> tuple[ReadCall, ...]:
    route = find_route(provider, "POST", path)
    assert route is not None
    reader = ExchangeReader(read_request(route, b"{}"), 200, [("content-type", media)])
    reader.feed(answer)
    return reader.end().calls


GEMINI = "/v1beta/models/gemini-2.5-pro:generateContent"
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("provider", "path", "said", "counts"),
    [
        pytest.param(
            "openai",
            CHAT,
            {
                "usage": {
                    "prompt_tokens": 1000,
                    "completion_tokens": 500,
                    "total_tokens": 1500,
                    "prompt_tokens_details": {"cached_tokens": 800},
                    "completion_tokens_details": {"reasoning_tokens": 300},
                }
            },
            TokenCounts(input=1000, cache_read=800, output=500, reasoning=300, calls=1),
            id="V1 gpt-5",
        ),
        pytest.param(
            "openai",
            "/v1/responses",
            {
                "usage": {
                    "input_tokens": 3025,
                    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 3022},
                    "output_tokens": 4,
                    "total_tokens": 3029,
                }
            },
            TokenCounts(input=3025, cache_write_unspecified=3022, output=4, calls=1),
            id="V2 gpt-5.6-sol: 3 of 3025 are in no cache",
        ),
        pytest.param(
            "anthropic",
            "/v1/messages",
            {
                "usage": {
                    "input_tokens": 504,
                    "cache_creation_input_tokens": 123,
                    "cache_read_input_tokens": 1000,
                    "cache_creation": {
                        "ephemeral_5m_input_tokens": 23,
                        "ephemeral_1h_input_tokens": 100,
                    },
                    "output_tokens": 97,
                }
            },
            TokenCounts(
                input=1627,
                cache_read=1000,
                cache_write_5m=23,
                cache_write_1h=100,
                output=97,
                calls=1,
            ),
            id="V3 claude-sonnet-4-5: 504 + 123 + 1000",
        ),
        pytest.param(
            "anthropic",
            "/v1/messages",
            {
                "usage": {
                    "input_tokens": 3,
                    "cache_creation_input_tokens": 12304,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 550,
                }
            },
            TokenCounts(input=12307, cache_write_unspecified=12304, output=550, calls=1),
            id="V4 claude-3-7-sonnet: 3 + 12304",
        ),
        pytest.param(
            "gemini",
            GEMINI,
            {
                "usageMetadata": {
                    "promptTokenCount": 1000,
                    "cachedContentTokenCount": 800,
                    "candidatesTokenCount": 50,
                    "thoughtsTokenCount": 200,
                    "toolUsePromptTokenCount": 30,
                    "totalTokenCount": 1280,
                }
            },
            TokenCounts(input=1030, cache_read=800, output=250, reasoning=200, calls=1),
            id="V5 gemini-2.5-pro: 1000 + 30, 50 + 200",
        ),
        pytest.param(
            "gemini",
            GEMINI,
            {
                "usageMetadata": {
                    "promptTokenCount": 262960,
                    "cachedContentTokenCount": 257955,
                    "candidatesTokenCount": 1744,
                    "totalTokenCount": 264704,
                }
            },
            TokenCounts(input=262960, cache_read=257955, output=1744, calls=1),
            id="V6 gemini-2.5-pro beyond 200,000",
        ),
        pytest.param(
            "bedrock",
            "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/converse",
            {"usage": {"inputTokens": 100, "cacheReadInputTokens": 1000, "outputTokens": 50}},
            TokenCounts(input=1100, cache_read=1000, output=50, calls=1),
            id="V7 bedrock: 100 + 1000",
        ),
        pytest.param(
            "mistral",
            CHAT,
            {
                "usage": {
                    "prompt_tokens": 1013,
                    "prompt_tokens_details": {"cached_tokens": 1008},
                    "completion_tokens": 30,
                    "total_tokens": 1043,
                }
            },
            TokenCounts(input=1013, cache_read=1008, output=30, calls=1),
            id="V8 mistral-large",
        ),
        pytest.param(
            "cohere",
            "/v2/chat",
            {
                "usage": {
                    "billed_units": {"input_tokens": 10.0, "output_tokens": 20.0},
                    "tokens": {"input_tokens": 80.0, "output_tokens": 22.0},
                }
            },
            TokenCounts(input=10, output=20, calls=1),
            id="V9 command-r-plus: what is billed",
        ),
        pytest.param(
            "xai",
            CHAT,
            {
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 10,
                    "completion_tokens_details": {"reasoning_tokens": 90},
                    "total_tokens": 200,
                }
            },
            TokenCounts(input=100, output=100, reasoning=90, calls=1),
            id="V13 xai: 10 + 90",
        ),
        pytest.param(
            "snowflake",
            CHAT,
            {
                "usage": {
                    "prompt_tokens": 7,
                    "prompt_tokens_details": {"cached_tokens": 4805},
                    "completion_tokens": 6,
                    "total_tokens": 4818,
                }
            },
            TokenCounts(input=4812, cache_read=4805, output=6, calls=1),
            id="V14 snowflake: 7 + 4805",
        ),
        pytest.param(
            "anthropic",
            "/v1/messages",
            {
                "usage": {
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "iterations": [
                        {"type": "message", "input_tokens": 10, "output_tokens": 5},
                        {"type": "compaction", "input_tokens": 2000, "output_tokens": 300},
                    ],
                }
            },
            TokenCounts(input=2010, output=305, calls=1),
            id="V16 iterations: 10 + 2000, 5 + 300",
        ),
    ],
)
def test_a_vectors_counts(
    provider: str, path: str, said: dict[str, Any], counts: TokenCounts
) -> None:
    (call,) = calls(provider, path, document(said))
    assert call.counts == counts


@pytest.mark.parametrize(
    ("sizes", "classes"),
    [
        pytest.param([272000], [256000], id="V10: 272,000 does not exceed it"),
        pytest.param([272001], [272000], id="V10: one more does"),
        pytest.param([200000, 200000], [199999, 199999], id="V11: two calls, two classes"),
    ],
)
def test_each_call_has_the_context_class_of_its_own_size(
    sizes: list[int], classes: list[int]
) -> None:
    found = [
        call.key.context_class
        for size in sizes
        for call in calls(
            "openai",
            CHAT,
            document(
                {"usage": {"prompt_tokens": size, "completion_tokens": 1, "total_tokens": size + 1}}
            ),
        )
    ]
    assert found == classes


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/v1/batches", id="made"),
        pytest.param("GET", "/v1/batches/batch_abc123", id="asked after"),
        pytest.param("GET", "/v1/files/file-abc123/content", id="its output"),
    ],
)
def test_v12_a_batch_is_told_by_nobody_here(method: str, path: str) -> None:
    # Its usage stands in its status and again in each line of its output, at any later time.
    assert find_route("openai", method, path) is None


def test_v15_a_streams_numbers_are_cumulative() -> None:
    stream = sse(
        {
            "type": "message_start",
            "message": {
                "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "output_tokens": 1}
            },
        },
        {"type": "message_delta", "usage": {"output_tokens": 5}},
        {"type": "message_delta", "usage": {"output_tokens": 42}},
        {"type": "message_stop"},
        named=True,
    )
    (call,) = calls("anthropic", "/v1/messages", stream, "text/event-stream")
    assert call.counts == TokenCounts(input=110, cache_read=100, output=42, calls=1)
