"""What a request says, also where its body is cut, is a form, or is none."""

from __future__ import annotations

from typing import Any

import pytest

from agentspec_usage.extraction.request import RequestFacts, read_request
from agentspec_usage.extraction.routing import find_route
from tests.fixtures.bodies.body import document


def facts(
    body: bytes | dict[str, Any], path: str = "/v1/chat/completions", provider: str = "openai"
) -> RequestFacts:
    route = find_route(provider, "POST", path)
    assert route is not None
    return read_request(route, body if isinstance(body, bytes) else document(body))


def test_the_usual_request() -> None:
    found = facts(
        {
            "model": "gpt-5",
            "messages": [{"role": "user", "content": '"model": "other", "stream": false'}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_completion_tokens": 100,
        }
    )
    assert found.model == "gpt-5"
    assert found.streaming
    assert found.asks_usage
    assert found.output_limit == 100
    assert found.surface.include_usage


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"max_tokens": 5}, 5, id="openai, anthropic, mistral"),
        pytest.param({"max_output_tokens": 6}, 6, id="responses"),
        pytest.param({"generationConfig": {"maxOutputTokens": 7}}, 7, id="gemini"),
        pytest.param(
            {"generationConfig": {"maxOutputTokens": 7, "candidateCount": 2}}, 14, id="candidates"
        ),
        pytest.param({"inferenceConfig": {"maxTokens": 8}}, 8, id="bedrock"),
        pytest.param({"options": {"num_predict": 9}}, 9, id="ollama"),
        pytest.param({"max_tokens": 5, "n": 3}, 15, id="several choices"),
        pytest.param({"max_tokens": -1}, None, id="ollama's without limit"),
        pytest.param({"max_tokens": "5"}, None, id="no number"),
        pytest.param({"max_tokens": True}, None, id="a boolean"),
    ],
)
def test_the_most_output_that_a_request_allows(body: dict[str, Any], limit: int | None) -> None:
    assert facts(body).output_limit == limit


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"model": 7, "stream": "yes"}', b"model=gpt-5"],
)
def test_a_body_that_says_nothing_is_a_request_of_which_nothing_is_known(body: bytes) -> None:
    found = facts(body)
    assert (found.model, found.streaming, found.output_limit) == ("", False, None)


def test_a_body_that_was_cut_says_what_came() -> None:
    whole = document({"model": "gpt-5", "stream": True, "messages": ["x" * 1000]})
    found = facts(whole[:100])
    assert (found.model, found.streaming) == ("gpt-5", True)


def test_a_form_names_its_model() -> None:
    form = (
        b'--cut\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-4o-transcribe\r\n'
        b'--cut\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
        b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n'
        b"Content-Type: audio/mpeg\r\n\r\nID3\r\n--cut--\r\n"
    )
    found = facts(form, "/v1/audio/transcriptions")
    assert (found.model, found.streaming) == ("gpt-4o-transcribe", True)


def test_a_model_in_the_path_stands_before_one_in_the_body() -> None:
    found = facts({"model": "x"}, "/openai/deployments/d/chat/completions", "azure")
    assert found.model == "d"


@pytest.mark.parametrize(
    ("body", "streaming"),
    [({}, True), ({"stream": False}, False), ({"stream": True}, True)],
)
def test_ollama_streams_unless_it_is_told_not_to(body: dict[str, Any], streaming: bool) -> None:
    assert facts(body, "/api/chat", "ollama").streaming is streaming
    assert facts({}, "/v1/chat/completions", "ollama").streaming is False


def test_an_overlong_model_is_no_name() -> None:
    assert facts({"model": "m" * 1000}).model == ""
