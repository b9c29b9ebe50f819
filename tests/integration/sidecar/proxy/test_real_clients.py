"""The providers' own clients see through the proxy exactly what they see without it.

Each scenario is run twice, straight to the provider and through the proxy, and what the client made
of the answers is compared; so is what the provider was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, SecretStr

from agentspec_usage.sidecar.calls import EndedBy, Refusal
from agentspec_usage.sidecar.proxy import Upstream
from tests.fakes.call_meter import until
from tests.integration.sdk.bodies import sse
from tests.integration.sdk.provider_server import ProviderServer, provider_server
from tests.integration.sidecar.proxy.proxies import RunningProxy, proxy

# google-genai subclasses aiohttp's session, which aiohttp discourages.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
)

ASKED: Any = [{"role": "user", "content": "Hello!"}]
GEMINI = "/v1/models/gemini-2.5-flash"
# https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
GENERATED = {
    "candidates": [
        {
            "content": {"parts": [{"text": "Hi"}], "role": "model"},
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 4, "candidatesTokenCount": 9, "totalTokenCount": 13},
    "modelVersion": "gemini-2.5-flash",
    "responseId": "mAitaLmkHPPlz7IPvtfUqQ4",
}

Seen = Any


@dataclass(frozen=True, slots=True)
class Bases:
    """The base urls that the clients are given."""

    openai: str
    anthropic: str
    google: str


Scenario = Callable[[Bases], Awaitable[Seen]]


def name_of(scenario: Scenario) -> str:
    return scenario.__name__


def plain(value: Any) -> Any:
    """What a client returned, as values that can be compared."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return value


def openai_client(at: Bases) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key="sk-test",
        base_url=at.openai,
        max_retries=0,
        _strict_response_validation=True,
    )


async def openai_chat(at: Bases) -> Seen:
    async with openai_client(at) as client:
        return plain(await client.chat.completions.create(model="gpt-5", messages=ASKED))


async def openai_stream(at: Bases) -> Seen:
    async with openai_client(at) as client:
        stream = await client.chat.completions.create(model="gpt-5", messages=ASKED, stream=True)
        return [plain(event) async for event in stream]


async def openai_stream_with_usage(at: Bases) -> Seen:
    async with openai_client(at) as client:
        stream = await client.chat.completions.create(
            model="gpt-5", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
        return [plain(event) async for event in stream]


async def openai_responses(at: Bases) -> Seen:
    async with openai_client(at) as client:
        stream = await client.responses.create(model="gpt-5", input="Hello!", stream=True)
        return [plain(event) async for event in stream]


async def openai_embeddings(at: Bases) -> Seen:
    async with openai_client(at) as client:
        return plain(await client.embeddings.create(model="text-embedding-3-small", input="a"))


async def openai_sync(at: Bases) -> Seen:
    def ask() -> Seen:
        with openai.OpenAI(api_key="sk-test", base_url=at.openai, max_retries=0) as client:
            stream = client.chat.completions.create(model="gpt-5", messages=ASKED, stream=True)
            return [plain(event) for event in stream]

    return await asyncio.to_thread(ask)


def anthropic_client(at: Bases) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(
        api_key="sk-ant", base_url=at.anthropic, max_retries=0, default_headers={"a": "b"}
    )


async def anthropic_message(at: Bases) -> Seen:
    async with anthropic_client(at) as client:
        return plain(
            await client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=ASKED)
        )


async def anthropic_stream(at: Bases) -> Seen:
    async with (
        anthropic_client(at) as client,
        client.messages.stream(model="claude-sonnet-5", max_tokens=9, messages=ASKED) as stream,
    ):
        events = [plain(event) async for event in stream]
        return [*events, plain(await stream.get_final_message())]


async def anthropic_count_tokens(at: Bases) -> Seen:
    async with anthropic_client(at) as client:
        return plain(await client.messages.count_tokens(model="claude-sonnet-5", messages=ASKED))


def gemini_client(at: Bases) -> genai.Client:
    return genai.Client(
        api_key="key",
        http_options=genai_types.HttpOptions(
            base_url=at.google, retry_options=genai_types.HttpRetryOptions(attempts=1)
        ),
    )


async def gemini_generate(at: Bases) -> Seen:
    client = gemini_client(at)
    answer = await client.aio.models.generate_content(model="gemini-2.5-flash", contents="Hello!")
    await client.aio.aclose()
    shown = answer.model_dump(mode="json", exclude={"sdk_http_response"})
    return shown


async def gemini_stream(at: Bases) -> Seen:
    client = gemini_client(at)
    stream = await client.aio.models.generate_content_stream(
        model="gemini-2.5-flash", contents="Hello!"
    )
    events = [
        event.model_dump(mode="json", exclude={"sdk_http_response"}) async for event in stream
    ]
    await client.aio.aclose()
    return events


async def langchain_chat(at: Bases) -> Seen:
    model = ChatOpenAI(model="gpt-5", base_url=at.openai, api_key=SecretStr("k"), max_retries=0)
    answer = await model.ainvoke("Hello!")
    return [answer.content, answer.usage_metadata, answer.response_metadata]


async def langchain_stream(at: Bases) -> Seen:
    model = ChatOpenAI(
        model="gpt-5",
        base_url=at.openai,
        api_key=SecretStr("k"),
        max_retries=0,
        stream_usage=False,
    )
    return [(part.content, part.usage_metadata) async for part in model.astream("Hello!")]


SCENARIOS = [
    openai_chat,
    openai_stream,
    openai_stream_with_usage,
    openai_responses,
    openai_embeddings,
    openai_sync,
    anthropic_message,
    anthropic_stream,
    anthropic_count_tokens,
    gemini_generate,
    gemini_stream,
    langchain_chat,
    langchain_stream,
]


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with provider_server() as server:
        server.bodies[f"{GEMINI}:generateContent"] = GENERATED
        server.bodies[f"{GEMINI}:streamGenerateContent"] = sse(
            [GENERATED, GENERATED], named=False, done=False
        )
        yield server


@pytest.fixture
def straight(provider: ProviderServer) -> Bases:
    return Bases(f"{provider.url}/v1", provider.url, provider.url)


@pytest.fixture
async def through(provider: ProviderServer) -> AsyncIterator[RunningProxy]:
    """A proxy in front of the provider, with a prefix for each API."""
    upstreams = [
        Upstream("openai", provider.url, "/openai"),
        Upstream("anthropic", provider.url, "/anthropic"),
        Upstream("google", provider.url, "/google"),
    ]
    async with proxy(*upstreams) as running:
        yield running


@pytest.fixture
def proxied(through: RunningProxy) -> Bases:
    url = through.url
    return Bases(f"{url}/openai/v1", f"{url}/anthropic", f"{url}/google")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name_of)
async def test_a_client_sees_the_same_through_the_proxy(
    scenario: Scenario,
    provider: ProviderServer,
    through: RunningProxy,
    straight: Bases,
    proxied: Bases,
) -> None:
    expected = await scenario(straight)
    assert await scenario(proxied) == expected
    sent_straight, sent = provider.asked
    assert sent.path == sent_straight.path
    assert alike(sent.headers) == alike(sent_straight.headers)
    assert without_question(sent.body) == without_question(sent_straight.body)
    await until(lambda: len(through.meter.ended) == 1)
    extraction = through.meter.ends[0].extraction
    if scenario is anthropic_count_tokens:
        assert extraction is None
    else:
        assert extraction is not None
        [call] = extraction.calls
        assert call.counts.total > 0


@pytest.mark.parametrize("status", [400, 429, 529])
@pytest.mark.parametrize(
    "scenario", [openai_stream, anthropic_message, gemini_stream, langchain_stream], ids=name_of
)
async def test_a_client_fails_the_same_through_the_proxy(
    scenario: Scenario,
    status: int,
    provider: ProviderServer,
    through: RunningProxy,
    straight: Bases,
    proxied: Bases,
) -> None:
    provider.status = status
    failures = []
    for bases in (straight, proxied):
        with pytest.raises((openai.APIError, anthropic.APIError, genai_errors.APIError)) as failed:
            await scenario(bases)
        failures.append((type(failed.value), str(failed.value)))
    assert failures[0] == failures[1]
    assert len(provider.asked) == 2
    await until(lambda: len(through.meter.ended) == 1)
    extraction = through.meter.ends[0].extraction
    assert extraction is not None
    assert extraction.unmetered == (status >= 500)


@pytest.mark.parametrize("events", [0, 2])
@pytest.mark.parametrize("scenario", [openai_stream, anthropic_stream], ids=name_of)
async def test_a_client_fails_the_same_when_the_provider_breaks_off(
    scenario: Scenario,
    events: int,
    provider: ProviderServer,
    through: RunningProxy,
    straight: Bases,
    proxied: Bases,
) -> None:
    provider.cut_after = events
    failures = []
    for bases in (straight, proxied):
        with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)) as failed:
            await scenario(bases)
        failures.append((type(failed.value), str(failed.value)))
    assert failures[0] == failures[1]
    await until(lambda: len(through.meter.ended) == 1)
    assert through.meter.ends[0].ended_by is EndedBy.UPSTREAM_ABORT


async def test_a_client_that_stops_reading_a_stream_ends_it(
    through: RunningProxy, proxied: Bases
) -> None:
    async with openai_client(proxied) as client:
        stream = await client.chat.completions.create(model="gpt-5", messages=ASKED, stream=True)
        async for _ in stream:
            break
        await stream.close()
    await until(lambda: len(through.meter.ended) == 1)


async def test_a_refusal_is_an_error_that_clients_do_not_repeat(
    provider: ProviderServer, through: RunningProxy, proxied: Bases
) -> None:
    document = {"error": {"type": "budget_exhausted", "message": "the pod's budget is used up"}}
    through.meter.judge = lambda request: Refusal(document)
    async with openai.AsyncOpenAI(api_key="k", base_url=proxied.openai, max_retries=3) as client:
        with pytest.raises(openai.PermissionDeniedError, match="budget is used up"):
            await client.chat.completions.create(model="gpt-5", messages=ASKED)
    async with anthropic.AsyncAnthropic(
        api_key="k", base_url=proxied.anthropic, max_retries=3
    ) as claude:
        with pytest.raises(anthropic.PermissionDeniedError, match="budget is used up"):
            await claude.messages.create(model="claude-sonnet-5", max_tokens=9, messages=ASKED)
    assert len(through.meter.began) == 2
    assert provider.asked == []


def alike(headers: dict[str, str]) -> dict[str, str]:
    """The headers less those in which a proxied request differs, and the reason."""
    hop = {"connection", "host"}
    ours = {"x-request-id", "content-length"}
    return {name: value for name, value in headers.items() if name not in hop | ours}


def without_question(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "stream_options"}
