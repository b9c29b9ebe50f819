"""The windows of a source that drains them, as the level that is charged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.level import Level, level_of
from agentspec_usage.metering.models import MAX_MODELS
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.window_levels import WindowLevels
from agentspec_usage.metering.windows import MAX_OPEN_WINDOWS, DrainedWindows
from tests.unit.metering.readings import snapshot, tokens


def level(amount: int, key: str = "gpt") -> Level[str]:
    return Level(tokens(amount), {key: tokens(amount)})


def test_a_window_counts_its_highest_reading_and_windows_add() -> None:
    windows: WindowLevels[str] = WindowLevels()
    for start, amount in ((1, 10), (1, 25), (1, 20), (2, 5)):
        windows = windows.advance(start, level(amount))
    assert windows.used().totals.input == 30
    assert windows.used().cells["gpt"].input == 30


def test_a_reading_that_tells_nothing_new_changes_nothing() -> None:
    windows: WindowLevels[str] = WindowLevels()
    windows = windows.advance(1, level(10))
    assert windows.advance(1, level(10)) is windows
    assert windows.advance(2, Level()) is windows


def test_a_window_not_newer_than_the_newest_retired_one_is_over() -> None:
    windows: WindowLevels[str] = WindowLevels()
    for start in range(1, MAX_OPEN_WINDOWS + 3):
        windows = windows.advance(start, level(1))
    assert len(windows.open) == MAX_OPEN_WINDOWS
    assert windows.retired_until == 2
    assert windows.advance(2, level(50)) is windows
    assert windows.used().totals.input == MAX_OPEN_WINDOWS + 2


def test_ten_thousand_models_keep_their_totals_and_few_cells() -> None:
    cells = {str(number): tokens(number + 1) for number in range(300)}
    told = Level(sum_counts(cells.values()), cells)
    windows: WindowLevels[str] = WindowLevels()
    windows = windows.advance(1, told).advance(2, told)
    assert len(windows.used().cells) == MAX_MODELS
    assert windows.used().totals == told.totals + told.totals


starts = st.one_of(st.none(), st.integers(1, MAX_OPEN_WINDOWS + 20))


@given(st.lists(st.tuples(starts, st.integers(0, 50)), max_size=MAX_OPEN_WINDOWS + 40))
def test_it_is_the_operators_rule(seen: list[tuple[int | None, int]]) -> None:
    operator = DrainedWindows(created_at=0)
    store: WindowLevels[SeriesKey] = WindowLevels()
    for start, amount in seen:
        one = snapshot(None, amount, started=start)
        if not amount:
            one = snapshot(None, 0, started=start, totals=TokenCounts())
        operator = operator.advance(one)
        store = store.advance(start, level_of(one))
    assert store.used().totals == operator.used().totals
