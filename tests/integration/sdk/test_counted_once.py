"""A call that a client, a handler and a node all see is one call, in a real LangGraph agent."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from anthropic import Anthropic
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import END, START, MessagesState, StateGraph
from openai import AsyncOpenAI, OpenAI

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sdk import (
    UsageLedger,
    instrument_anthropic,
    instrument_call_model,
    instrument_openai,
)
from agentspec_usage.sdk.langchain import UsageCallbackHandler
from tests.integration.sdk.heard import Heard
from tests.integration.sdk.models import ChatModel, usage_metadata_of
from tests.integration.sdk.provider_server import ProviderServer

COUNTS = TokenCounts(input=1000, output=500, cache_read=800, reasoning=300, calls=1)
HELLO = [HumanMessage("Hello!")]


@pytest.fixture
def client(provider: ProviderServer) -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url=f"{provider.url}/v1", max_retries=0) as made:
        yield made


def graph_of(node: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("call_model", node)
    graph.add_edge(START, "call_model")
    graph.add_edge("call_model", END)
    return graph.compile()


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare client", "metered client"])
@pytest.mark.parametrize("handled", [False, True], ids=["no handler", "handler"])
@pytest.mark.parametrize("noded", [False, True], ids=["bare node", "metered node"])
@pytest.mark.parametrize("says_id", [False, True], ids=["no id", "id"])
def test_a_call_of_a_graph_counts_once_whoever_sees_it(
    client: OpenAI,
    ledger: UsageLedger,
    heard: Heard,
    wrapped: bool,
    handled: bool,
    noded: bool,
    says_id: bool,
) -> None:
    if wrapped:
        instrument_openai(client, ledger)
    model = ChatModel(client=client, says_id=says_id)
    if handled:
        model.callbacks = [UsageCallbackHandler(ledger)]

    def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [model.invoke(state["messages"])]}

    node = instrument_call_model(call_model, ledger=ledger) if noded else call_model
    graph = graph_of(node)
    for call in (1, 2):
        # Twice, and the server repeats its response id: the second is a call all the same.
        graph.invoke({"messages": HELLO})
        counted = call if wrapped or handled or noded else 0
        assert [record.counts for record in heard.records] == [COUNTS] * counted


@pytest.mark.parametrize("says_id", [False, True], ids=["no id", "id"])
async def test_an_async_graph_counts_once(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard, says_id: bool
) -> None:
    async with AsyncOpenAI(api_key="k", base_url=f"{provider.url}/v1") as client:
        instrument_openai(client, ledger)
        model = ChatModel(client=None, async_client=client, says_id=says_id)
        model.callbacks = [UsageCallbackHandler(ledger)]

        async def call_model(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph = graph_of(instrument_call_model(call_model, ledger=ledger))
        await graph.ainvoke({"messages": HELLO})
    assert heard.only.counts == COUNTS


@pytest.mark.parametrize("says_id", [False, True], ids=["no id", "id"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare client", "metered client"])
def test_a_streamed_model_counts_once(
    client: OpenAI, ledger: UsageLedger, heard: Heard, says_id: bool, wrapped: bool
) -> None:
    if wrapped:
        instrument_openai(client, ledger)
    model = ChatModel(client=client, says_id=says_id, callbacks=[UsageCallbackHandler(ledger)])
    text = "".join(str(chunk.content) for chunk in model.stream(HELLO))
    assert text == "Hello!"
    assert heard.only.counts == COUNTS


def test_a_message_built_by_hand_from_a_metered_client_counts_once(
    client: OpenAI, ledger: UsageLedger, heard: Heard
) -> None:
    instrument_openai(client, ledger)

    def call_model(state: MessagesState) -> dict[str, Any]:
        asked: Any = [{"role": "user", "content": "Hello!"}]
        answers = [client.chat.completions.create(model="m", messages=asked) for _ in range(2)]
        return {
            "messages": [
                AIMessage("hi", usage_metadata=usage_metadata_of(answer.usage))
                for answer in answers
                if answer.usage is not None
            ]
        }

    node = instrument_call_model(call_model, ledger=ledger)
    graph_of(node).invoke({"messages": HELLO})
    assert [record.counts for record in heard.records] == [COUNTS, COUNTS]
    assert len(node.get_calls()) == 2


def test_a_streamed_message_that_tells_other_counts_is_still_the_call_its_client_counted(
    provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    """As ChatAnthropic's are: without an id, with the deltas' cumulative counts added up."""
    usage: Any = {"input_tokens": 0, "output_tokens": 137, "total_tokens": 137}
    with Anthropic(api_key="k", base_url=provider.url) as client:
        instrument_anthropic(client, ledger)

        def call_model(_: MessagesState) -> dict[str, Any]:
            asked: Any = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": []}
            list(client.messages.create(**asked, stream=True))
            named = {"model_provider": "anthropic", "model_name": "claude-sonnet-5-20260410"}
            return {"messages": [AIMessage("", usage_metadata=usage, response_metadata=named)]}

        graph_of(instrument_call_model(call_model, ledger=ledger)).invoke({"messages": HELLO})
    assert (heard.only.counts.input, heard.only.counts.output) == (1627, 97)


def test_a_call_on_a_thread_of_the_nodes_own_is_recognised_by_its_id(
    client: OpenAI, ledger: UsageLedger, heard: Heard
) -> None:
    instrument_openai(client, ledger)
    model = ChatModel(client=client)

    def call_model(state: MessagesState) -> dict[str, Any]:
        with ThreadPoolExecutor(1) as pool:
            return {"messages": [pool.submit(model.invoke, state["messages"]).result()]}

    graph_of(instrument_call_model(call_model, ledger=ledger)).invoke({"messages": HELLO})
    assert heard.only.counts == COUNTS


def test_a_counted_call_answers_for_one_message_only(
    client: OpenAI, provider: ProviderServer, ledger: UsageLedger, heard: Heard
) -> None:
    """Two clients give equal answers, and one of them is metered: two calls."""
    instrument_openai(client, ledger)

    def call_model(_: MessagesState) -> dict[str, Any]:
        asked: Any = [{"role": "user", "content": "Hello!"}]
        with OpenAI(api_key="k", base_url=f"{provider.url}/v1") as bare:
            answers = [c.chat.completions.create(model="m", messages=asked) for c in (client, bare)]
        usages = [answer.usage for answer in answers if answer.usage is not None]
        return {
            "messages": [AIMessage("", usage_metadata=usage_metadata_of(one)) for one in usages]
        }

    instrument_call_model(call_model, ledger=ledger, model_id="openai/gpt-5")({"messages": []})
    assert [record.counts for record in heard.records] == [COUNTS, COUNTS]


def test_two_calls_that_only_look_alike_are_two(
    client: OpenAI, ledger: UsageLedger, heard: Heard
) -> None:
    """One is metered by its client, the other by the node alone: equal counts, other ids."""
    instrument_openai(client, ledger)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello!"}])

    def call_model(_: MessagesState) -> dict[str, Any]:
        usage: Any = {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}
        return {"messages": [AIMessage("hi", usage_metadata=usage)]}

    instrument_call_model(call_model, ledger=ledger, model_id="openai/gpt-5")({"messages": []})
    assert len(heard.records) == 2


def test_two_handlers_of_one_ledger_are_one(
    client: OpenAI, ledger: UsageLedger, heard: Heard
) -> None:
    model = ChatModel(client=client, callbacks=[UsageCallbackHandler(ledger)])
    model.invoke(HELLO, config={"callbacks": [UsageCallbackHandler(ledger)]})
    assert heard.only.counts == COUNTS


def test_several_choices_of_one_run_are_one_call(
    client: OpenAI, ledger: UsageLedger, heard: Heard
) -> None:
    model = ChatModel(client=client, n=3, callbacks=[UsageCallbackHandler(ledger)])
    model.invoke(HELLO)
    assert heard.only.counts == COUNTS
    assert heard.only.key == SeriesKey("openai", "gpt-5-2025-08-07")


def test_a_run_that_failed_counts_only_if_work_may_have_been_done(
    client: OpenAI, ledger: UsageLedger, heard: Heard, provider: ProviderServer
) -> None:
    model = ChatModel(client=client, callbacks=[UsageCallbackHandler(ledger)])
    provider.status = 400
    with pytest.raises(Exception, match="400"):
        model.invoke(HELLO)
    assert heard.records == []
    provider.status = 500
    with pytest.raises(Exception, match="500"):
        model.invoke(HELLO)
    assert heard.only.counts == TokenCounts(calls=1, unmetered_calls=1)
