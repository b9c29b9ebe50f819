"""Which requests are metered, as what, and which are not."""

from __future__ import annotations

import pytest

from agentspec_usage.extraction.routing import Route, find_route
from agentspec_usage.extraction.surfaces import SURFACES


def routed(provider: str, method: str, path: str, surface: str = "") -> Route:
    route = find_route(provider, method, path, surface)
    assert route is not None
    return route


@pytest.mark.parametrize(
    ("provider", "path", "surface"),
    [
        ("openai", "/v1/chat/completions", "openai.chat"),
        ("openai", "/chat/completions", "openai.chat"),
        ("openai", "/v1/completions", "openai.completions"),
        ("openai", "/v1/responses", "openai.responses"),
        ("openai", "/v1/responses/compact", "openai.responses"),
        ("openai", "/v1/audio/speech", "openai.speech"),
        ("azure.ai.openai", "/openai/v1/responses", "openai.responses"),
        ("azure", "/openai/v1/chat/completions", "openai.chat"),
        ("gcp.gemini", "/v1beta/openai/chat/completions", "gemini.chat"),
        (
            "vertex_ai",
            "/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
            "gemini.chat",
        ),
        ("x-ai", "/v1/chat/completions", "xai.chat"),
        ("xai", "/v1/responses", "openai.responses"),
        ("groq", "/openai/v1/chat/completions", "groq.chat"),
        ("mistral_ai", "/v1/fim/completions", "mistral.chat"),
        ("mistral", "/v1/agents/completions", "mistral.chat"),
        ("cohere", "/v1/chat", "cohere.chat"),
        ("cohere", "/compatibility/v1/chat/completions", "compatible.chat"),
        ("ollama", "/v1/chat/completions", "ollama.chat"),
        ("ollama", "/api/generate", "ollama.native-generate"),
        ("vllm", "/v1/messages", "anthropic.messages"),
        ("aws.bedrock", "/anthropic/v1/messages", "anthropic.messages"),
        ("nobody-knows", "/v1/chat/completions", "compatible.chat"),
        ("", "/v1/embeddings", "openai.embeddings"),
    ],
)
def test_a_provider_and_a_path_make_a_surface(provider: str, path: str, surface: str) -> None:
    route = routed(provider, "POST", path)
    assert route.surface.name == surface
    assert route.provider == provider
    assert not route.retrieval


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/v1/responses/input_tokens"),
        ("POST", "/v1beta/models/gemini-2.5-pro:countTokens"),
        # https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/count-tokens
        (
            "POST",
            "/v1/projects/p/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict",
        ),
        ("POST", "/tokenize"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/files"),
        ("POST", "/v1/messages/batches"),
        ("GET", "/v1/models"),
        ("GET", "/v1/chat/completions"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/batches/batch_1"),
        ("POST", "/"),
        ("POST", ""),
    ],
)
@pytest.mark.parametrize("surface", ["", "openai.chat"])
def test_what_uses_no_tokens_is_not_metered(method: str, path: str, surface: str) -> None:
    if surface and path in {"", "/"}:
        return
    assert find_route("openai", method, path, surface) is None


@pytest.mark.parametrize(
    ("method", "path", "surface"),
    [
        ("GET", "/v1/responses/resp_1?include[]=x", "openai.responses"),
        ("POST", "/v1/responses/resp_1/cancel", "openai.responses"),
        ("GET", "/v1/chat/completions/chatcmpl-1", "openai.chat"),
        ("GET", "/v1beta/interactions/v1_abc", "gemini.interactions"),
    ],
)
def test_reading_a_stored_response_is_a_retrieval(method: str, path: str, surface: str) -> None:
    route = routed("openai", method, path)
    assert route.retrieval
    assert route.surface.name == surface


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/v1/realtime?model=gpt-realtime", "openai.realtime"),
        ("/openai/v1/realtime", "openai.realtime"),
        ("/v1/live/sessions", "openai.live"),
        ("/v1/responses", "openai.responses"),
        (
            "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=k",
            "gemini.live",
        ),
        (
            "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent",
            "gemini.live",
        ),
    ],
)
def test_a_connection_for_many_calls_is_known_by_its_path(path: str, surface: str) -> None:
    route = routed("openai", "GET", path)
    assert route.websocket
    assert route.surface.name == surface


@pytest.mark.parametrize(
    ("path", "model", "region"),
    [
        pytest.param(
            "/openai/deployments/our%20gpt/chat/completions?api-version=1",
            "our gpt",
            "",
            id="azure's deployment",
        ),
        pytest.param(
            "/openai/deployments/a/embeddings", "a", "", id="azure's deployment of embeddings"
        ),
    ],
)
def test_azures_path_names_the_deployment(path: str, model: str, region: str) -> None:
    route = routed("azure", "POST", path)
    assert (route.model, route.region) == (model, region)


@pytest.mark.parametrize(
    ("path", "model", "region", "streaming"),
    [
        ("/v1beta/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro", "", False),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "gemini-2.5-pro", "", True),
        (
            "/v1/projects/p/locations/global/publishers/google/models/g:streamGenerateContent",
            "g",
            "global",
            True,
        ),
        (
            "/v1/projects/p/locations/us-east5/publishers/anthropic/models/c@1:streamRawPredict",
            "c@1",
            "us-east5",
            True,
        ),
        ("/model/us.anthropic.claude-v1%3A0/converse-stream", "us.anthropic.claude-v1:0", "", True),
        (
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Feu.a.b/invoke",
            "eu.a.b",
            "",
            False,
        ),
    ],
)
def test_a_path_may_name_the_model_and_the_region(
    path: str, model: str, region: str, streaming: bool
) -> None:
    route = routed("vertex", "POST", path)
    assert (route.model, route.region, route.streaming) == (model, region, streaming)


def test_an_account_number_in_a_path_is_no_part_of_a_models_name() -> None:
    arn = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Feu.a.b"
    assert "123456789012" not in routed("bedrock", "POST", f"/model/{arn}/converse").model


def test_a_configured_surface_speaks_for_paths_that_tell_nothing() -> None:
    assert routed("ours", "POST", "/generate", "openai.chat").surface is SURFACES["openai.chat"]


def test_a_configured_surface_speaks_before_the_provider_of_the_same_operation() -> None:
    # A gateway of our own before Snowflake.
    route = routed("ours", "POST", "/v1/chat/completions", "snowflake.chat")
    assert route.surface is SURFACES["snowflake.chat"]
    embeddings = routed("ours", "POST", "/v1/embeddings", "snowflake.chat")
    assert embeddings.surface is SURFACES["openai.embeddings"]


def test_every_surface_has_a_path_of_its_own_or_a_name_to_be_configured_by() -> None:
    assert all(name == surface.name for name, surface in SURFACES.items())
