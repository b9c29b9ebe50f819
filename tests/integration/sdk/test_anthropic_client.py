"""The real ``anthropic`` client, wrapped: what it counts, and that its host notices nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sdk import UsageLedger, instrument_anthropic
from tests.integration.sdk.bodies import ANTHROPIC_MESSAGE, MESSAGE_ID
from tests.integration.sdk.heard import Heard
from tests.integration.sdk.provider_server import ProviderServer

ASKED: Any = {
    "model": "claude-sonnet-5",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "Hello"}],
}
SERIES = SeriesKey("anthropic", "claude-sonnet-5-20260410", service_tier="standard")
COUNTS = TokenCounts(
    input=504 + 123 + 1000,
    output=97,
    cache_read=1000,
    cache_write_5m=23,
    cache_write_1h=100,
    calls=1,
)
UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


@pytest.fixture
def client(ledger: UsageLedger, provider: ProviderServer) -> Iterator[Anthropic]:
    with Anthropic(api_key="k", base_url=provider.url, max_retries=0) as made:
        assert instrument_anthropic(made, ledger) is made
        yield made


def test_a_message_counts_its_caches_as_input(
    client: Anthropic, heard: Heard, provider: ProviderServer
) -> None:
    answer = client.messages.create(**ASKED)
    assert answer.usage.input_tokens == 504
    record = heard.only
    assert (record.key, record.counts) == (SERIES, COUNTS)
    assert (record.status, record.response_id) == (CallStatus.OK, MESSAGE_ID)
    assert record.requests == {"web_search": 2}
    assert record.call_id == provider.asked[0].headers["x-agentspec-call-id"]


def test_a_streamed_message_counts_the_last_of_what_it_repeats(
    client: Anthropic, heard: Heard
) -> None:
    stream = client.messages.create(**ASKED, stream=True)
    assert isinstance(stream, anthropic.Stream)
    kinds = [event.type for event in stream]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    assert (heard.only.counts, heard.only.status) == (COUNTS, CallStatus.OK)


def test_the_helper_that_streams_is_counted(client: Anthropic, heard: Heard) -> None:
    with client.messages.stream(**ASKED) as stream:
        assert "".join(stream.text_stream) == "Hi! My name is Claude."
    assert heard.only.counts == COUNTS


@pytest.mark.parametrize(
    ("events", "output"),
    [pytest.param(2, 1, id="after the start"), pytest.param(5, 40, id="after a delta")],
)
def test_a_stream_cut_in_the_middle_counts_what_was_seen_and_says_aborted(
    client: Anthropic, heard: Heard, provider: ProviderServer, events: int, output: int
) -> None:
    provider.cut_after = events
    with pytest.raises(Exception, match="incomplete chunked read"):
        list(client.messages.create(**ASKED, stream=True))
    record = heard.only
    assert record.status is CallStatus.ABORTED
    assert (record.counts.input, record.counts.output) == (1627, output)


def test_a_stream_that_its_host_leaves_counts_what_was_seen(
    client: Anthropic, heard: Heard
) -> None:
    with client.messages.create(**ASKED, stream=True) as stream:
        next(stream)
    assert heard.only.status is CallStatus.ABORTED
    assert (heard.only.counts.input, heard.only.counts.output) == (1627, 1)


def test_counting_tokens_is_not_using_them(client: Anthropic, heard: Heard) -> None:
    answer = client.messages.count_tokens(model=ASKED["model"], messages=ASKED["messages"])
    assert answer.input_tokens == 14
    assert heard.records == []


def test_the_beta_surface_counts_each_model_of_its_iterations(
    client: Anthropic, heard: Heard, provider: ProviderServer
) -> None:
    # The top level leaves compaction out: 10 + 2000 in, 5 + 300 out, and an advisor's 7 and 3.
    usage = {
        "input_tokens": 10,
        "output_tokens": 5,
        "iterations": [
            {"type": "message", "input_tokens": 10, "output_tokens": 5},
            {"type": "compaction", "input_tokens": 2000, "output_tokens": 300},
            {
                "type": "advisor_message",
                "model": "claude-opus-5",
                "input_tokens": 7,
                "output_tokens": 3,
            },
        ],
    }
    provider.bodies["/v1/messages"] = {**ANTHROPIC_MESSAGE, "usage": usage}
    client.beta.messages.create(**ASKED)
    first, second = heard.records
    assert first.counts == TokenCounts(input=2010, output=305, calls=1)
    assert first.key.model == "claude-sonnet-5-20260410"
    assert second.counts == TokenCounts(input=7, output=3, calls=1)
    assert (second.key.model, second.response_id) == ("claude-opus-5", "")


def test_the_fast_speed_is_a_tier_of_its_own(
    client: Anthropic, heard: Heard, provider: ProviderServer
) -> None:
    usage = {**ANTHROPIC_MESSAGE["usage"], "speed": "fast", "inference_geo": "us"}
    provider.bodies["/v1/messages"] = {**ANTHROPIC_MESSAGE, "usage": usage}
    client.messages.create(**ASKED)
    assert (heard.only.key.service_tier, heard.only.key.region) == ("fast", "us")


def test_a_raw_response_is_counted(client: Anthropic, heard: Heard) -> None:
    raw = client.messages.with_raw_response.create(**ASKED)
    assert heard.only.counts == COUNTS
    assert raw.parse().id == MESSAGE_ID
    assert len(heard.records) == 1


def test_wrapping_twice_counts_once(client: Anthropic, ledger: UsageLedger, heard: Heard) -> None:
    instrument_anthropic(client, ledger)
    client.with_options(timeout=5).messages.create(**ASKED)
    assert len(heard.records) == 1


@pytest.mark.parametrize(
    ("status", "raised", "counted"),
    [
        pytest.param(400, anthropic.BadRequestError, 0, id="refused"),
        pytest.param(529, anthropic.APIStatusError, 1, id="overloaded"),
    ],
)
def test_an_error_reaches_the_host_and_counts_only_if_work_may_have_been_done(
    client: Anthropic,
    heard: Heard,
    provider: ProviderServer,
    status: int,
    raised: type[Exception],
    counted: int,
) -> None:
    provider.status = status
    with pytest.raises(raised):
        client.messages.create(**ASKED)
    assert [record.counts for record in heard.records] == [UNMETERED] * counted


async def test_the_async_client_counts_messages_whole_and_streamed(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    async with AsyncAnthropic(api_key="k", base_url=provider.url) as client:
        instrument_anthropic(client, ledger)
        await client.messages.create(**ASKED)
        async for _ in await client.messages.create(**ASKED, stream=True):
            pass
        async with client.messages.stream(**ASKED) as stream:
            assert await stream.get_final_text() == "Hi! My name is Claude."
    assert [record.counts for record in heard.records] == [COUNTS] * 3
    assert {record.status for record in heard.records} == {CallStatus.OK}


async def test_an_async_stream_cut_in_the_middle_counts_what_was_seen(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    provider.cut_after = 5
    async with AsyncAnthropic(api_key="k", base_url=provider.url) as client:
        instrument_anthropic(client, ledger)
        with pytest.raises(Exception, match="incomplete chunked read"):
            async for _ in await client.messages.create(**ASKED, stream=True):
                pass
    assert (heard.only.status, heard.only.counts.output) == (CallStatus.ABORTED, 40)
