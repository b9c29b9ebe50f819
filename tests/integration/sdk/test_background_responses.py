"""A response that OpenAI works on in the background counts once, when its usage is first read.

Shapes after https://platform.openai.com/docs/guides/background and the reference of
``GET /responses/{response_id}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.sdk import Reporter, UsageLedger, instrument_openai, usage_context
from tests.integration.sdk.bodies import RESPONSE, RESPONSE_ID, response_events, sse
from tests.integration.sdk.heard import Heard
from tests.integration.sdk.provider_server import ProviderServer
from tests.integration.sdk.receivers import KEY, Store, listening

QUEUED = {**RESPONSE, "status": "queued", "usage": None, "output": []}
FAILED = {**QUEUED, "status": "failed"}
STORED = f"/v1/responses/{RESPONSE_ID}"
COUNTS = TokenCounts(
    input=3025, output=87, cache_write_30m=3000, cache_write_12h=22, reasoning=60, calls=1
)
UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


@pytest.fixture
def client(ledger: UsageLedger, provider: ProviderServer) -> Iterator[OpenAI]:
    provider.bodies["/v1/responses"] = QUEUED
    provider.bodies[STORED] = QUEUED
    with OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as made:
        yield instrument_openai(made, ledger)


def begin(client: OpenAI, **options: Any) -> Any:
    return client.responses.create(model="gpt-5", input="Hello!", background=True, **options)


def test_it_counts_when_its_usage_is_first_read_and_never_again(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    with usage_context(team="search"):
        begin(client)
    client.responses.retrieve(RESPONSE_ID)
    assert heard.records == []
    provider.bodies[STORED] = RESPONSE
    for _ in range(3):
        assert client.responses.retrieve(RESPONSE_ID).status == "completed"
    record = heard.only
    assert (record.counts, record.status) == (COUNTS, CallStatus.OK)
    assert (record.response_id, record.request_model) == (RESPONSE_ID, "gpt-5")
    assert record.key.model == RESPONSE["model"]
    assert record.context.team == "search"
    begun, *read = provider.asked
    assert record.call_id == begun.headers["x-agentspec-call-id"]
    assert all("x-agentspec-call-id" not in asked.headers for asked in read)


async def test_it_counts_once_for_the_asynchronous_client(
    ledger: UsageLedger, heard: Heard, provider: ProviderServer
) -> None:
    provider.bodies |= {"/v1/responses": QUEUED, STORED: RESPONSE}
    async with AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as client:
        instrument_openai(client, ledger)
        await client.responses.create(model="gpt-5", input="Hello!", background=True)
        await client.responses.retrieve(RESPONSE_ID)
        await client.responses.retrieve(RESPONSE_ID)
    assert heard.only.counts == COUNTS


def test_a_response_that_was_not_begun_here_counts_nothing_when_it_is_read(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    provider.bodies[STORED] = RESPONSE
    client.responses.retrieve(RESPONSE_ID)
    assert heard.records == []


def test_a_response_that_was_whole_at_once_counts_once_though_it_is_read_again(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    provider.bodies |= {"/v1/responses": RESPONSE, STORED: RESPONSE}
    begin(client)
    client.responses.retrieve(RESPONSE_ID)
    assert heard.only.counts == COUNTS


def test_one_that_failed_is_an_unmetered_call(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    begin(client)
    provider.bodies[STORED] = FAILED
    client.responses.retrieve(RESPONSE_ID)
    client.responses.retrieve(RESPONSE_ID)
    assert (heard.only.counts, heard.only.status) == (UNMETERED, CallStatus.UNMETERED)


def test_a_reading_that_fails_ends_nothing(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    begin(client)
    provider.status = 500
    with pytest.raises(openai.InternalServerError):
        client.responses.retrieve(RESPONSE_ID)
    provider.status = 200
    provider.bodies[STORED] = RESPONSE
    client.responses.retrieve(RESPONSE_ID)
    assert heard.only.counts == COUNTS


def test_a_stream_that_was_left_is_counted_when_it_is_taken_up_again(
    client: OpenAI, heard: Heard, provider: ProviderServer
) -> None:
    events = sse(response_events("response.completed"), named=True, done=False)
    provider.bodies |= {"/v1/responses": events, STORED: events}
    with begin(client, stream=True) as stream:
        next(iter(stream))
    assert heard.records == []
    for _ in range(2):
        with client.responses.retrieve(RESPONSE_ID, stream=True) as again:
            assert len(list(again)) == 3
    assert heard.only.counts == COUNTS


def test_what_nobody_read_is_unmetered_at_the_end(provider: ProviderServer) -> None:
    provider.bodies["/v1/responses"] = QUEUED
    store, reporter = Store(), Reporter()
    with (
        listening(store) as url,
        OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as client,
    ):
        reporter.start_push_mode(url, KEY, 0.05)
        begin(instrument_openai(client, reporter.ledger))
        assert reporter.ledger.snapshot().totals == TokenCounts()
        assert reporter.stop()
    assert store.total == UNMETERED
