"""The real ``openai`` client, wrapped: what it counts, and that its host notices nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sdk import UsageLedger, instrument_openai, usage_context
from tests.integration.sdk.bodies import CHAT, CHAT_ID, RESPONSE_ID
from tests.integration.sdk.heard import Heard
from tests.integration.sdk.provider_server import ProviderServer

ASKED: Any = [{"role": "user", "content": "Hello!"}]
CHAT_COUNTS = TokenCounts(input=1000, output=500, cache_read=800, reasoning=300, calls=1)
CHAT_SERIES = SeriesKey("openai", "gpt-5-2025-08-07", service_tier="default")
RESPONSE_COUNTS = TokenCounts(
    input=3025, output=87, cache_write_30m=3000, cache_write_12h=22, reasoning=60, calls=1
)
UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


@pytest.fixture
def bare(provider: ProviderServer) -> Iterator[OpenAI]:
    with OpenAI(
        api_key="k",
        base_url=f"{provider.url}/v1",
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture
def client(bare: OpenAI, ledger: UsageLedger, provider: ProviderServer) -> Iterator[OpenAI]:
    with OpenAI(
        api_key="k",
        base_url=f"{provider.url}/v1",
        max_retries=0,
        _strict_response_validation=True,
    ) as made:
        assert instrument_openai(made, ledger) is made
        yield made


def test_a_chat_is_counted_with_its_parts(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    answer = client.chat.completions.create(model="gpt-5", messages=ASKED)
    assert answer.choices[0].message.content == "Hello! How can I assist you today?"
    record = heard.only
    assert (record.key, record.counts) == (CHAT_SERIES, CHAT_COUNTS)
    assert (record.status, record.request_model) == (CallStatus.OK, "gpt-5")
    assert record.response_id == CHAT_ID
    assert record.call_id == provider.asked[0].headers["x-agentspec-call-id"]


def test_a_call_belongs_to_the_context_it_was_made_in(client: OpenAI, heard: Heard) -> None:
    with usage_context(team="search", session="s-1", run="r-1", user="u-1"):
        client.chat.completions.create(model="gpt-5", messages=ASKED)
    context = heard.only.context
    assert (context.team, context.session, context.run, context.user) == (
        "search",
        "s-1",
        "r-1",
        "u-1",
    )


def test_a_response_is_counted_with_its_cache_writes_and_tools(
    client: OpenAI, heard: Heard
) -> None:
    answer = client.responses.create(model="gpt-5.6", input="A story.")
    assert answer.output_text == "In a peaceful grove..."
    record = heard.only
    assert record.counts == RESPONSE_COUNTS
    assert record.key == SeriesKey("openai", "gpt-5.6-2026-06-02", service_tier="priority")
    assert (record.response_id, record.requests) == (RESPONSE_ID, {"web_search": 1})


def test_embeddings_are_counted(client: OpenAI, heard: Heard) -> None:
    client.embeddings.create(model="text-embedding-3-small", input="hi", encoding_format="float")
    record = heard.only
    assert record.key == SeriesKey("openai", "text-embedding-3-small", "embeddings")
    assert record.counts == TokenCounts(input=8, calls=1)


def test_a_streamed_chat_is_counted_and_looks_as_it_would_unwrapped(
    client: OpenAI, bare: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    def asked_of(one: OpenAI) -> list[dict[str, Any]]:
        stream = one.chat.completions.create(model="gpt-5", messages=ASKED, stream=True)
        assert isinstance(stream, openai.Stream)
        return [chunk.model_dump() for chunk in stream]

    assert asked_of(client) == asked_of(bare)
    assert [asked.body.get("stream_options") for asked in provider.asked] == [
        {"include_usage": True},
        None,
    ]
    record = heard.only
    assert (record.counts, record.status) == (CHAT_COUNTS, CallStatus.OK)
    assert record.ttft_ms is not None
    assert record.duration_ms is not None
    assert record.ttft_ms <= record.duration_ms


def test_usage_that_the_host_asked_for_in_a_stream_stays_in_it(
    client: OpenAI, heard: Heard
) -> None:
    chunks = list(
        client.chat.completions.create(
            model="gpt-5", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].usage is not None
    assert heard.only.counts == CHAT_COUNTS


def test_a_stream_without_usage_is_an_unmetered_call(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    with OpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        instrument_openai(client, ledger, provider="vllm", include_stream_usage=False)
        list(client.chat.completions.create(model="llama", messages=ASKED, stream=True))
    assert "stream_options" not in provider.asked[0].body
    record = heard.only
    assert (record.status, record.counts) == (CallStatus.UNMETERED, UNMETERED)
    assert record.key.provider == "vllm"


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete", "response.failed"])
def test_a_streamed_response_is_counted_however_it_ends(
    client: OpenAI, heard: Heard, provider: ProviderServer, last: str
) -> None:
    provider.last_event = last
    events = list(client.responses.create(model="gpt-5.6", input="A story.", stream=True))
    assert [event.type for event in events][-1] == last
    record = heard.only
    assert (record.counts, record.status) == (RESPONSE_COUNTS, CallStatus.OK)


def test_a_stream_cut_by_the_provider_raises_as_before_and_is_one_unmetered_call(
    client: OpenAI, bare: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    provider.cut_after = 2

    def asked_of(one: OpenAI) -> tuple[list[str], type[BaseException]]:
        seen: list[str] = []
        with pytest.raises(openai.APIConnectionError) as raised:  # noqa: PT012 - the events before it matter
            for chunk in one.chat.completions.create(model="m", messages=ASKED, stream=True):
                seen.append(chunk.choices[0].delta.content or "")
        return seen, raised.type

    assert asked_of(client) == asked_of(bare)
    assert (heard.only.status, heard.only.counts) == (CallStatus.UNMETERED, UNMETERED)


def test_a_stream_that_its_host_closes_early_is_counted_when_it_is_closed(
    client: OpenAI, heard: Heard
) -> None:
    with client.chat.completions.create(model="m", messages=ASKED, stream=True) as stream:
        next(stream)
    assert heard.only.counts == UNMETERED


def test_a_stream_that_its_host_drops_is_counted_before_the_next_reading(
    client: OpenAI, ledger: UsageLedger
) -> None:
    stream = client.chat.completions.create(model="m", messages=ASKED, stream=True)
    next(stream)
    del stream
    gc.collect()
    assert ledger.snapshot().totals == UNMETERED


def test_a_raw_response_is_counted_and_stays_raw(client: OpenAI, heard: Heard) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-5", messages=ASKED)
    assert heard.only.counts == CHAT_COUNTS
    assert raw.parse().id == CHAT_ID
    assert len(heard.records) == 1


def test_a_raw_stream_is_counted_when_it_was_read(client: OpenAI, heard: Heard) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="gpt-5", messages=ASKED, stream=True
    )
    assert heard.records == []
    list(raw.parse())
    assert heard.only.counts == CHAT_COUNTS


def test_a_streaming_response_is_counted_when_it_was_parsed(client: OpenAI, heard: Heard) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="gpt-5", messages=ASKED
    ) as response:
        assert response.parse().id == CHAT_ID
    assert heard.only.counts == CHAT_COUNTS


def test_a_streaming_response_that_its_host_reads_itself_is_an_unmetered_call(
    client: OpenAI, heard: Heard
) -> None:
    with client.chat.completions.with_streaming_response.create(
        model="gpt-5", messages=ASKED
    ) as response:
        assert CHAT_ID.encode() in b"".join(response.iter_bytes())
    assert heard.only.counts == UNMETERED


async def test_an_async_streaming_response_is_counted_parsed_or_not(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    async with AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        instrument_openai(client, ledger)
        create = client.chat.completions.with_streaming_response.create
        async with create(model="gpt-5", messages=ASKED) as response:
            assert (await response.parse()).id == CHAT_ID
        async with create(model="gpt-5", messages=ASKED) as response:
            await response.read()
    assert [record.counts for record in heard.records] == [CHAT_COUNTS, UNMETERED]


class _Greeting(BaseModel):
    text: str


def test_a_parsing_that_fails_in_the_host_is_counted_all_the_same(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    choice = {**CHAT["choices"][0], "finish_reason": "length"}
    provider.bodies["/v1/chat/completions"] = {**CHAT, "choices": [choice]}
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="gpt-5", messages=ASKED, response_format=_Greeting)
    assert heard.only.counts == CHAT_COUNTS


def test_the_helper_that_streams_is_counted(client: OpenAI, heard: Heard) -> None:
    with client.chat.completions.stream(model="gpt-5", messages=ASKED) as stream:
        stream.until_done()
    assert heard.only.counts == CHAT_COUNTS


def test_a_copy_of_the_client_is_counted(client: OpenAI, heard: Heard) -> None:
    client.with_options(timeout=5).chat.completions.create(model="gpt-5", messages=ASKED)
    client.copy().chat.completions.create(model="gpt-5", messages=ASKED)
    assert len(heard.records) == 2


def test_wrapping_twice_counts_once(client: OpenAI, ledger: UsageLedger, heard: Heard) -> None:
    instrument_openai(client, ledger)
    instrument_openai(client.with_options(timeout=5), ledger)
    client.chat.completions.create(model="gpt-5", messages=ASKED)
    assert len(heard.records) == 1


@pytest.mark.parametrize(
    ("status", "raised", "counted"),
    [
        pytest.param(400, openai.BadRequestError, 0, id="refused"),
        pytest.param(429, openai.RateLimitError, 0, id="limited"),
        pytest.param(500, openai.InternalServerError, 1, id="failed"),
    ],
)
def test_an_error_reaches_the_host_and_counts_only_if_work_may_have_been_done(
    client: OpenAI,
    heard: Heard,
    provider: ProviderServer,
    status: int,
    raised: type[Exception],
    counted: int,
) -> None:
    provider.status = status
    with pytest.raises(raised):
        client.chat.completions.create(model="gpt-5", messages=ASKED)
    assert [record.counts for record in heard.records] == [UNMETERED] * counted


def test_a_provider_that_is_not_there_counts_nothing(ledger: UsageLedger, heard: Heard) -> None:
    with OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1", max_retries=0) as client:
        instrument_openai(client, ledger)
        with pytest.raises(openai.APIConnectionError):
            client.chat.completions.create(model="gpt-5", messages=ASKED)
    assert heard.records == []


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param(None, id="absent"),
        pytest.param({"prompt_tokens": "many"}, id="text"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": 2}, id="negative"),
        pytest.param([], id="a list"),
    ],
)
def test_usage_that_cannot_be_read_is_an_unmetered_call_and_the_host_gets_its_answer(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard, usage: object
) -> None:
    provider.bodies["/v1/chat/completions"] = {**CHAT, "usage": usage}
    with OpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        instrument_openai(client, ledger)
        answer = client.chat.completions.create(model="gpt-5", messages=ASKED)
    assert answer.id == CHAT_ID
    assert (heard.only.status, heard.only.counts) == (CallStatus.UNMETERED, UNMETERED)


async def test_the_async_client_counts_chat_responses_and_embeddings(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    async with AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        instrument_openai(client, ledger)
        await client.chat.completions.create(model="gpt-5", messages=ASKED)
        await client.responses.create(model="gpt-5.6", input="A story.")
        await client.embeddings.create(model="e", input="hi", encoding_format="float")
    counts = [record.counts for record in heard.records]
    assert counts == [CHAT_COUNTS, RESPONSE_COUNTS, TokenCounts(input=8, calls=1)]


async def test_async_streams_are_counted(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    async with AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        instrument_openai(client, ledger)
        stream = await client.chat.completions.create(model="m", messages=ASKED, stream=True)
        assert isinstance(stream, openai.AsyncStream)
        chunks = [chunk async for chunk in stream]
        assert all(chunk.choices for chunk in chunks)
        async for _ in await client.responses.create(model="m", input="x", stream=True):
            pass
    assert [record.counts for record in heard.records] == [CHAT_COUNTS, RESPONSE_COUNTS]


async def test_an_async_stream_that_its_host_closes_early_is_counted_when_it_is_closed(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    async with AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        instrument_openai(client, ledger)
        stream = await client.chat.completions.create(model="m", messages=ASKED, stream=True)
        async with stream:
            await anext(stream)
        assert heard.only.counts == UNMETERED
