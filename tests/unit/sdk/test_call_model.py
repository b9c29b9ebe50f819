"""What a wrapped LangGraph node counts, and that the node behaves as it did."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.types import Command

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sdk import UsageLedger, instrument_call_model

USAGE: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


@pytest.fixture
def ledger() -> UsageLedger:
    return UsageLedger()


def totals(ledger: UsageLedger) -> tuple[int, int, int, int]:
    seen = ledger.snapshot().totals
    return seen.input, seen.output, seen.calls, seen.unmetered_calls


def ai(text: str = "hi", **fields: Any) -> AIMessage:
    return AIMessage(text, **{"usage_metadata": USAGE, **fields})


@pytest.mark.parametrize(
    "added",
    [
        pytest.param(lambda: {"messages": [ai()]}, id="state update"),
        pytest.param(lambda: {"messages": ai()}, id="one message"),
        pytest.param(lambda: ai(), id="the message itself"),
        pytest.param(lambda: [ai()], id="a list"),
        pytest.param(lambda: Command(update={"messages": [ai()]}), id="command"),
        pytest.param(
            lambda: {"messages": [{"role": "assistant", "content": "", "usage_metadata": USAGE}]},
            id="a mapping",
        ),
    ],
)
def test_a_message_is_counted_however_the_node_returns_it(ledger: UsageLedger, added: Any) -> None:
    result = added()
    node = instrument_call_model(lambda state: result, ledger=ledger, model_id="openai/gpt-4o")
    assert node({"messages": []}) is result
    assert totals(ledger) == (10, 5, 1, 0)
    (row,) = ledger.snapshot().rows
    assert row.key == SeriesKey("openai", "gpt-4o")


def test_every_message_that_the_node_added_is_counted_and_none_that_was_there(
    ledger: UsageLedger,
) -> None:
    before = [HumanMessage("?"), ai("old", id="m-1"), ai("older")]

    def node(state: dict[str, Any]) -> dict[str, Any]:
        copied = ai("old", id="m-1")
        return {"messages": [*state["messages"], copied, ai("new"), ai("newer")]}

    instrument_call_model(node, ledger=ledger)({"messages": before})
    assert totals(ledger) == (20, 10, 2, 0)


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        pytest.param(
            {
                "usage_metadata": {
                    "input_tokens": 1627,
                    "output_tokens": 97,
                    "total_tokens": 1724,
                    "input_token_details": {
                        "cache_read": 1000,
                        "cache_creation": 0,
                        "ephemeral_5m_input_tokens": 23,
                        "ephemeral_1h_input_tokens": 100,
                    },
                    "output_token_details": {"reasoning": 40},
                }
            },
            TokenCounts(
                input=1627,
                output=97,
                cache_read=1000,
                cache_write_5m=23,
                cache_write_1h=100,
                reasoning=40,
                calls=1,
            ),
            id="usage_metadata with its details",
        ),
        pytest.param(
            {
                "usage_metadata": {
                    "input_tokens": 100,
                    "output_tokens": 20,
                    "total_tokens": 120,
                    "input_token_details": {"priority_cache_read": 64, "priority": 36},
                    "output_token_details": {"priority_reasoning": 15, "priority": 5},
                }
            },
            TokenCounts(input=100, output=20, cache_read=64, reasoning=15, calls=1),
            id="usage_metadata of a tier, whose parts have its name",
        ),
        pytest.param(
            {
                "response_metadata": {
                    "token_usage": {
                        "prompt_tokens": 100,
                        "completion_tokens": 20,
                        "total_tokens": 120,
                        "prompt_tokens_details": {"cached_tokens": 64},
                    }
                }
            },
            TokenCounts(input=100, output=20, cache_read=64, calls=1),
            id="token_usage of a chat",
        ),
        pytest.param(
            {
                "response_metadata": {
                    "usage": {
                        "input_tokens": 504,
                        "output_tokens": 97,
                        "cache_creation_input_tokens": 123,
                        "cache_read_input_tokens": 0,
                    }
                }
            },
            TokenCounts(input=627, output=97, cache_write_unspecified=123, calls=1),
            id="usage of a message, cache beside the input",
        ),
        pytest.param(
            {"additional_kwargs": {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}},
            TokenCounts(input=7, output=3, calls=1),
            id="additional_kwargs",
        ),
        pytest.param(
            {"response_metadata": {"token_usage": {"total_tokens": 42}}},
            TokenCounts(input=42, calls=1),
            id="a total alone",
        ),
        pytest.param(
            {"response_metadata": {"model_name": "m"}},
            TokenCounts(calls=1, unmetered_calls=1),
            id="a model without usage",
        ),
    ],
)
def test_usage_is_found_wherever_langchain_puts_it(
    ledger: UsageLedger, fields: dict[str, Any], counts: TokenCounts
) -> None:
    message = AIMessage("hi", **fields)
    instrument_call_model(lambda _: {"messages": [message]}, ledger=ledger)({})
    assert ledger.snapshot().totals == counts


def test_a_message_that_no_model_made_is_no_call(ledger: UsageLedger) -> None:
    instrument_call_model(lambda _: {"messages": [AIMessage("Welcome.")]}, ledger=ledger)({})
    assert totals(ledger) == (0, 0, 0, 0)


async def test_an_async_node_is_counted_and_stays_one(ledger: UsageLedger) -> None:
    async def node(state: object) -> dict[str, Any]:
        return {"messages": [ai()]}

    wrapped = instrument_call_model(node, ledger=ledger)
    assert inspect.iscoroutinefunction(wrapped)
    assert (await wrapped({}))["messages"][0].content == "hi"
    assert totals(ledger) == (10, 5, 1, 0)


def chunks() -> list[AIMessageChunk]:
    """Anthropic's integration spreads usage: the input first, the output last; they add."""
    first: Any = {"input_tokens": 10, "output_tokens": 0, "total_tokens": 10}
    last: Any = {"input_tokens": 0, "output_tokens": 5, "total_tokens": 5}
    return [
        AIMessageChunk(content="", id="a", usage_metadata=first),
        AIMessageChunk(content="hi", id="a"),
        AIMessageChunk(content="", id="a", usage_metadata=last),
    ]


def test_a_node_that_yields_chunks_counts_one_call_and_yields_the_same(ledger: UsageLedger) -> None:
    made = chunks()

    def node(state: object) -> Iterator[AIMessageChunk]:
        yield from made

    wrapped = instrument_call_model(node, ledger=ledger)
    assert inspect.isgeneratorfunction(wrapped)
    assert all(a is b for a, b in zip(wrapped({}), made, strict=True))
    assert totals(ledger) == (10, 5, 1, 0)


async def test_an_async_node_that_yields_chunks_counts_one_call(ledger: UsageLedger) -> None:
    async def node(state: object) -> AsyncIterator[AIMessageChunk]:
        for chunk in chunks():
            yield chunk

    wrapped = instrument_call_model(node, ledger=ledger)
    assert inspect.isasyncgenfunction(wrapped)
    assert [chunk.content async for chunk in wrapped({})] == ["", "hi", ""]
    assert totals(ledger) == (10, 5, 1, 0)


def test_a_stream_that_is_left_counts_what_was_seen_and_says_aborted(ledger: UsageLedger) -> None:
    def node(state: object) -> Iterator[AIMessageChunk]:
        yield from chunks()

    wrapped = instrument_call_model(node, ledger=ledger)
    stream = wrapped({})
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator, declared as an iterator
    assert totals(ledger) == (10, 0, 1, 0)
    (call,) = wrapped.get_calls()
    assert call.status is CallStatus.ABORTED


def test_what_the_node_raises_reaches_its_caller(ledger: UsageLedger) -> None:
    def node(state: object) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        instrument_call_model(node, ledger=ledger)({})
    assert totals(ledger) == (0, 0, 0, 0)


class _Unreadable:
    """A message whose every field raises."""

    @property
    def type(self) -> str:
        raise RuntimeError("no type")


def test_a_fault_of_the_metering_never_reaches_the_node(ledger: UsageLedger) -> None:
    result = {"messages": [_Unreadable()]}
    assert instrument_call_model(lambda _: result, ledger=ledger)({}) is result


def test_calls_are_remembered_up_to_the_bound(ledger: UsageLedger) -> None:
    node = instrument_call_model(lambda _: ai(), ledger=ledger, max_events=3)
    for _ in range(5):
        node({})
    assert [call.counts.input for call in node.get_calls()] == [10, 10, 10]


def test_wrapping_twice_counts_once(ledger: UsageLedger) -> None:
    once = instrument_call_model(lambda _: ai(), ledger=ledger)
    twice = instrument_call_model(once, ledger=ledger)
    twice({})
    assert totals(ledger) == (10, 5, 1, 0)


def test_the_nodes_name_and_signature_stay(ledger: UsageLedger) -> None:
    def call_model(state: dict[str, Any], config: object) -> None:
        """Call it."""

    wrapped = instrument_call_model(call_model, ledger=ledger)
    assert inspect.signature(wrapped) == inspect.signature(call_model)
    assert inspect.getdoc(wrapped) == "Call it."


def test_a_node_without_a_ledger_is_refused_when_it_is_wrapped() -> None:
    with pytest.raises(UsageError, match="a reporter or a ledger"):
        instrument_call_model(lambda _: None)
