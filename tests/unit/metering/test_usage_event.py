"""What an event's numbers mean together: totals, parts, or both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.metering.usage_event import UsageEvent, event_counts
from tests.unit.metering.usage_events import NOW_MS, event

UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


def call(**counts: int) -> TokenCounts:
    return TokenCounts(calls=1, **counts)


@pytest.mark.parametrize(
    ("said", "counts", "total"),
    [
        pytest.param((100, 20, None), call(input=100, output=20), 120, id="parts alone"),
        pytest.param((None, None, 120), call(input=120), 120, id="a total alone is input"),
        pytest.param((100, 20, 120), call(input=100, output=20), 120, id="parts and their total"),
        pytest.param((100, None, 120), call(input=100, output=20), 120, id="no output"),
        pytest.param((None, 20, 120), call(input=100, output=20), 120, id="no input"),
        pytest.param((100, None, None), call(input=100), 100, id="input alone"),
        pytest.param((None, 20, None), call(output=20), 20, id="output alone"),
        pytest.param((100, 20, 0), call(input=100, output=20), 120, id="a total of 0 is none"),
        pytest.param((100, 20, -5), call(input=100, output=20), 120, id="a total below 0 is none"),
        pytest.param(
            (100, 20, 150),
            call(input=100, output=50, reasoning=30),
            150,
            id="what only the total has is reasoning",
        ),
        pytest.param(
            (100, 20, 90), call(input=100, output=20), 90, id="a total below its parts is shown"
        ),
        pytest.param((None, None, None), UNMETERED, 0, id="nothing"),
        pytest.param((0, 0, None), UNMETERED, 0, id="zeros"),
        pytest.param((None, None, 0), UNMETERED, 0, id="a total of 0 alone"),
    ],
)
def test_each_event_has_the_counts_and_the_total_that_it_says(
    said: tuple[int | None, int | None, int | None], counts: TokenCounts, total: int
) -> None:
    assert event_counts(*said) == (counts, total)


def test_cache_tokens_are_part_of_the_input_however_the_sender_counts_them() -> None:
    expected = call(input=1000, output=50, cache_read=800, cache_write_unspecified=100)
    cached = {"cache_read": 800, "cache_write": 100}
    assert event_counts(1000, 50, 1050, **cached) == (expected, 1050)
    assert event_counts(100, 50, 1050, **cached) == (expected, 1050)
    assert event_counts(100, 50, None, **cached) == (expected, 1050)


def test_a_total_tells_that_input_was_counted_without_its_cache() -> None:
    counts, total = event_counts(900, 50, 1750, cache_read=800)
    assert (counts, total) == (call(input=1700, output=50, cache_read=800), 1750)


def test_reasoning_beside_the_output_is_added_to_it() -> None:
    assert event_counts(10, 5, None, reasoning=90) == (call(input=10, output=95, reasoning=90), 105)


@given(
    st.none() | st.integers(0, MAX_COUNT),
    st.none() | st.integers(0, MAX_COUNT),
    st.none() | st.integers(-MAX_COUNT, MAX_COUNT),
    st.integers(0, MAX_COUNT),
    st.integers(0, MAX_COUNT),
    st.integers(0, MAX_COUNT),
)
def test_whatever_is_said_the_counts_are_lawful_and_lose_no_part(
    size: int | None, output: int | None, total: int | None, read: int, written: int, thought: int
) -> None:
    counts, told = event_counts(
        size, output, total, cache_read=read, cache_write=written, reasoning=thought
    )
    assert counts.calls == 1
    assert max(counts.as_tuple()) <= MAX_COUNT
    assert counts.reasoning <= counts.output
    assert counts.input >= min(read + written, MAX_COUNT)
    assert counts.input >= (size or 0)
    assert counts.output >= (output or 0)
    assert counts.total >= (total or 0)
    assert bool(counts.unmetered_calls) == (counts.total == 0)
    assert told == (total if total is not None and total > 0 else counts.total)


def test_an_event_is_a_record_with_its_price_context_and_its_names() -> None:
    record = event("s", run="r", event_id="e", tokens=200_001).record(7)
    assert (record.seq, record.at, record.status) == (7, NOW_MS, CallStatus.OK)
    assert (record.key.provider, record.key.model) == ("openai", "gpt")
    assert record.key.context_class == 200_000
    assert (record.call_id, record.context.session, record.context.run) == ("e", "s", "r")


def test_an_event_without_tokens_is_an_unmetered_call() -> None:
    counts, total = event_counts(None, None)
    record = UsageEvent("agt", NOW_MS, "", "gpt", counts, total).record(1)
    assert (record.status, record.counts) == (CallStatus.UNMETERED, UNMETERED)
