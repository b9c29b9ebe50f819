"""What the demo's provider answers is what the real ones could: their own types take it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, TypeAdapter
from starlette.testclient import TestClient

from examples.provider.server import app

OPENAI = "/openai/v1/chat/completions"
ANTHROPIC = "/anthropic/v1/messages"
ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user"}]}
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"required": ["topic"]}},
}


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    """A customer that nobody knows yet."""
    with TestClient(app, headers={"Authorization": f"Bearer {request.node.nodeid}"}) as client:
        yield client


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return str(request.node.nodeid)


def events(client: TestClient, path: str, asked: dict[str, Any]) -> list[str]:
    """The data of each event."""
    answer = client.post(path, json={**asked, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def billed(client: TestClient, key: str) -> int:
    tokens: int = client.get("/bill").json()[key]["tokens"]
    return tokens


def strict(kind: type[BaseModel], text: str) -> Any:
    return TypeAdapter(kind).validate_json(text)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        pytest.param(ASKED, "stop", id="words"),
        pytest.param({**ASKED, "tools": [TOOL]}, "tool_calls", id="a tool"),
        pytest.param(
            {**ASKED, "tools": [TOOL], "messages": [{"role": "tool"}]}, "stop", id="after a tool"
        ),
    ],
)
def test_a_chat_completion_is_one_of_openai_and_is_billed(
    client: TestClient, key: str, asked: dict[str, Any], reason: str
) -> None:
    completion = strict(ChatCompletion, client.post(OPENAI, json=asked).text)
    assert completion.choices[0].finish_reason == reason
    assert completion.usage.total_tokens == billed(client, key)


def test_a_streamed_chat_is_one_of_openai_and_tells_its_usage_if_asked(
    client: TestClient, key: str
) -> None:
    asked = {**ASKED, "stream_options": {"include_usage": True}}
    *chunks, done = events(client, OPENAI, asked)
    assert done == "[DONE]"
    parsed = [strict(ChatCompletionChunk, chunk) for chunk in chunks]
    assert [chunk.usage for chunk in parsed[:-1]] == [None] * (len(parsed) - 1)
    assert parsed[-1].usage.total_tokens == billed(client, key)


def test_a_streamed_chat_that_was_not_asked_for_usage_is_billed_all_the_same(
    client: TestClient, key: str
) -> None:
    chunks = events(client, OPENAI, ASKED)[:-1]
    assert all(strict(ChatCompletionChunk, chunk).usage is None for chunk in chunks)
    assert billed(client, key) > 0


def test_a_message_is_one_of_anthropic_and_is_billed_with_its_cache(
    client: TestClient, key: str
) -> None:
    usage = strict(Message, client.post(ANTHROPIC, json=ASKED).text).usage
    prompt = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    assert prompt + usage.output_tokens == billed(client, key)


def test_a_streamed_message_is_one_of_anthropic_and_tells_its_output_last(
    client: TestClient, key: str
) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    parsed = [adapter.validate_json(event) for event in events(client, ANTHROPIC, ASKED)]
    begun, ended = parsed[0].message.usage, parsed[-2].usage
    prompt = begun.input_tokens + begun.cache_read_input_tokens + begun.cache_creation_input_tokens
    assert prompt + ended.output_tokens == billed(client, key)
