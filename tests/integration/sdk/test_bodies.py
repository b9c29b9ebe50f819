"""The composed bodies are what the providers publish: their own types take them, strictly."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.integration.sdk.bodies import (
    ANTHROPIC_EVENTS,
    ANTHROPIC_MESSAGE,
    CHAT,
    EMBEDDINGS,
    RESPONSE,
    chat_chunks,
    response_events,
)


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        pytest.param(ChatCompletion, CHAT, id="chat"),
        pytest.param(Response, RESPONSE, id="response"),
        pytest.param(CreateEmbeddingResponse, EMBEDDINGS, id="embeddings"),
        pytest.param(Message, ANTHROPIC_MESSAGE, id="message"),
    ],
)
def test_a_body_is_of_the_published_shape(shape: Any, body: dict[str, Any]) -> None:
    parsed = TypeAdapter(shape).validate_python(body)
    assert parsed.usage is not None


@pytest.mark.parametrize(
    ("shape", "events"),
    [
        pytest.param(ChatCompletionChunk, chat_chunks(include_usage=True), id="chat"),
        pytest.param(ResponseStreamEvent, response_events(), id="response"),
        pytest.param(
            RawMessageStreamEvent,
            [event for event in ANTHROPIC_EVENTS if event["type"] != "ping"],
            id="message",
        ),
    ],
)
def test_an_event_is_of_the_published_shape(shape: Any, events: list[dict[str, Any]]) -> None:
    adapter = TypeAdapter(shape)
    for event in events:
        adapter.validate_python(event)
