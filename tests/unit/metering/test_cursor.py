"""Windows for readers that want differences, without a drain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import sum_counts
from agentspec_usage.metering.cursor import Cursor
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from tests.unit.metering.readings import A, B, tokens

GPT = SeriesKey("openai", "gpt")


def test_a_window_holds_what_was_counted_since_the_last_delivery() -> None:
    ledger = Ledger(A, started_at=1000)
    ledger.record(GPT, tokens(5))
    first = ledger.snapshot(2000)
    cursor = Cursor().advanced(first)
    ledger.record(GPT, tokens(7))
    window = cursor.peek(ledger.snapshot(3000))
    assert window.totals == tokens(7)
    assert [row.counts for row in window.rows] == [tokens(7)]
    assert (window.window_started_at, window.observed_at) == (2000, 3000)
    assert (window.instance_id, window.observer) == (None, Observer.LEGACY)


def test_the_first_window_begins_where_the_counts_began() -> None:
    assert Cursor().peek(Ledger(A, started_at=1000).snapshot(2000)).window_started_at == 1000


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=20))
def test_windows_that_arrived_sum_to_what_was_counted(steps: list[tuple[int, bool]]) -> None:
    ledger = Ledger(A, started_at=0)
    cursor = Cursor()
    arrived = []
    for amount, delivered in [*steps, (1, True)]:
        ledger.record(GPT, tokens(amount))
        now = ledger.snapshot(1)
        window = cursor.peek(now)
        if delivered:
            arrived.append(window.totals)
            cursor = cursor.advanced(now)
    assert sum_counts(arrived) == ledger.snapshot(1).totals


def test_one_reader_does_not_see_what_another_does() -> None:
    ledger = Ledger(A, started_at=0)
    ledger.record(GPT, tokens(5))
    now = ledger.snapshot(1)
    one, other = Cursor().advanced(now), Cursor()
    assert not one.peek(now).totals
    assert other.peek(now).totals == tokens(5)


def test_an_acknowledgement_that_comes_late_moves_nothing_back() -> None:
    ledger = Ledger(A, started_at=0)
    ledger.record(GPT, tokens(5))
    early = ledger.snapshot(1)
    ledger.record(GPT, tokens(5))
    now = ledger.snapshot(2)
    assert not Cursor().advanced(now).advanced(early).peek(now).totals


def test_a_forked_child_owes_its_own_counts_from_the_start() -> None:
    ledger = Ledger(A, started_at=0)
    ledger.record(GPT, tokens(5))
    cursor = Cursor().advanced(ledger.snapshot(1))
    ledger.reset_after_fork(B, 10)
    ledger.record(GPT, tokens(3))
    window = cursor.peek(ledger.snapshot(20))
    assert window.totals == tokens(3)
    assert window.window_started_at == 10
