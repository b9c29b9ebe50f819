"""What a ledger counts, what it refuses, and that reading it changes nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import (
    COMPONENTS,
    MAX_COUNT,
    TokenCounts,
    counts_of,
    sum_counts,
)
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.names import is_showable
from agentspec_usage.metering.series import MAX_SERIES, OTHER, SeriesKey
from agentspec_usage.metering.snapshot import Observer
from tests.unit.metering.readings import A, B, tokens

GPT = SeriesKey("openai", "gpt")
small = st.builds(TokenCounts, *[st.integers(0, 1000) for _ in range(15)])


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(A, started_at=1000)


def test_an_empty_ledger_says_that_nothing_was_used(ledger: Ledger) -> None:
    seen = ledger.snapshot(2000)
    assert (seen.totals.total, seen.totals.calls, seen.rows, seen.seq) == (0, 0, (), 0)
    assert (seen.instance_id, seen.window_started_at, seen.observed_at) == (A, 1000, 2000)
    assert seen.observer is Observer.SDK
    assert seen.final is False


@given(st.lists(st.tuples(st.sampled_from(["gpt", "o3", "claude"]), small), max_size=20))
def test_totals_are_the_sum_of_the_calls_and_of_the_rows(
    calls: list[tuple[str, TokenCounts]],
) -> None:
    ledger = Ledger(A, started_at=0)
    for model, counts in calls:
        assert ledger.record(SeriesKey("p", model), counts)
    seen = ledger.snapshot(1)
    expected = sum_counts(counts for _, counts in calls)
    assert seen.totals.as_tuple()[:13] == expected.as_tuple()[:13]
    assert seen.seq == len(calls)
    assert seen.totals.calls >= len(calls)
    assert seen.rows_complete
    assert [row.key.model for row in seen.rows] == list(dict.fromkeys(model for model, _ in calls))


said = st.dictionaries(
    st.integers(0, len(COMPONENTS) - 3),
    st.integers(-1, 9) | st.sampled_from([MAX_COUNT, MAX_COUNT + 1, True, 1.0, None]),
)


@given(st.lists(said, max_size=8))
def test_a_call_that_says_its_parts_counts_as_one_that_says_everything(
    calls: list[dict[int, Any]],
) -> None:
    one, other = Ledger(A, started_at=0), Ledger(A, started_at=0)
    for given_parts in calls:
        parts = {**given_parts, COMPONENTS.index("calls"): 1}
        assert one.record_parts(GPT, parts) is other.record(GPT, counts_of(parts))
    assert one.snapshot(1) == other.snapshot(1)


def test_a_call_counts_as_one_when_it_does_not_say_how_many(ledger: Ledger) -> None:
    ledger.record(GPT, TokenCounts(input=5))
    ledger.record(GPT, TokenCounts(unmetered_calls=1))
    ledger.record(GPT, TokenCounts(input=5, calls=3))
    totals = ledger.snapshot(1).totals
    assert (totals.calls, totals.unmetered_calls) == (5, 1)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(-1, id="negative"),
        pytest.param(True, id="true"),
        pytest.param(False, id="false"),
        pytest.param(1.0, id="float"),
        pytest.param(math.nan, id="NaN"),
        pytest.param(MAX_COUNT + 1, id="beyond the bound"),
        pytest.param(10**30, id="10 to the 30th"),
        pytest.param("7", id="text"),
        pytest.param(None, id="none"),
    ],
)
@pytest.mark.parametrize("component", ["input", "calls"])
def test_a_wrong_number_is_refused_whole_and_counted_as_invalid(
    ledger: Ledger, component: str, value: Any
) -> None:
    counts = TokenCounts(**{"output": 7, component: value})
    assert not ledger.record(GPT, counts)
    seen = ledger.snapshot(1)
    assert seen.invalid_calls == 1
    assert (seen.totals.total, seen.totals.calls, seen.seq, seen.rows) == (0, 0, 0, ())


def test_reading_changes_nothing_and_a_snapshot_never_changes_after(ledger: Ledger) -> None:
    ledger.record(GPT, tokens(5))
    first = ledger.snapshot(1)
    assert ledger.snapshot(1) == first
    ledger.record(GPT, tokens(5))
    assert first.totals == tokens(5)
    assert ledger.snapshot(1).totals == tokens(10, calls=2)


def test_series_past_the_bound_count_as_other_and_lose_no_token(ledger: Ledger) -> None:
    for model in range(10_000):
        ledger.record(SeriesKey("p", f"m{model}"), tokens(1))
    ledger.record(SeriesKey("p", "m0"), tokens(1))
    ledger.record(SeriesKey("p", "m9999"), tokens(1))
    seen = ledger.snapshot(1)
    rows = {row.key: row.counts.input for row in seen.rows}
    assert len(rows) == MAX_SERIES
    assert rows[SeriesKey("p", "m0")] == 2
    assert rows[OTHER] == 10_000 + 2 - (MAX_SERIES - 1) - 1
    assert seen.rows_complete


def test_sums_stop_at_the_bound_and_say_so(ledger: Ledger) -> None:
    ledger.record(GPT, tokens(MAX_COUNT))
    ledger.record(GPT, tokens(MAX_COUNT))
    totals = ledger.snapshot(1).totals
    assert totals.input == MAX_COUNT
    assert totals.saturated


def test_names_that_cannot_be_shown_are_made_showable_at_first_use(ledger: Ledger) -> None:
    ledger.record(SeriesKey("p", "gpt\x1b[31m\ud800" + "x" * 500), tokens(1))
    ledger.record(SeriesKey("p", "gpt\x1b[31m\ud800" + "x" * 500), tokens(1))
    (row,) = ledger.snapshot(1).rows
    assert is_showable(row.key.model)
    assert row.counts.input == 2


def test_threads_that_record_at_once_lose_nothing(ledger: Ledger) -> None:
    def work(thread: int) -> None:
        for _ in range(500):
            ledger.record(SeriesKey("p", f"m{thread % 3}"), tokens(3))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    seen = ledger.snapshot(1)
    assert seen.totals == tokens(12_000, calls=4000)
    assert seen.seq == 4000
    assert seen.rows_complete


def in_child(work: Callable[[], bool]) -> bool:
    """Whether ``work`` holds in a forked child."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forked_child_begins_anew_and_leaves_its_parent_alone(ledger: Ledger) -> None:
    ledger.record(GPT, tokens(5))

    def child() -> bool:
        ledger.reset_after_fork(B, 3000)
        ledger.record(GPT, tokens(2))
        seen = ledger.snapshot(4000)
        return (seen.instance_id, seen.seq, seen.totals) == (B, 1, tokens(2))

    assert in_child(child)
    assert ledger.snapshot(1).totals == tokens(5)
