"""AgentSpec's drained windows: the highest of each window, summed over windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    fold,
    model_usage,
    needs_confirmation,
    new_checkpoint,
    observe,
    pods,
    reasons,
    restart_epoch,
    same_numbers,
    totals,
    window_started_at,
)
from agentspec_usage.metering.completeness import Completeness, Reason, completeness_of
from agentspec_usage.metering.counts import sum_counts
from agentspec_usage.metering.state import MAX_LEGACY
from agentspec_usage.metering.windows import MAX_OPEN_WINDOWS
from tests.unit.metering.readings import (
    LATER_POD,
    OTHER_POD,
    POD,
    numbered_pod,
    reading,
    snapshot,
    tokens,
)


def after(*windows: tuple[int | None, int], container: str = "") -> Checkpoint:
    """The state after windows of (start, tokens) from one container."""
    cp = new_checkpoint("e1")
    for at, (start, amount) in enumerate(windows):
        cp = observe(cp, POD, reading(snapshot(None, amount, started=start)), at, container)
    return cp


def test_a_window_counts_its_highest_reading() -> None:
    assert totals(after((1, 10), (1, 25), (1, 20))).input == 25


def test_windows_add() -> None:
    cp = after((1, 10), (2, 25), (3, 5))
    assert totals(cp).input == 40
    assert model_usage(cp)[0].counts.input == 40
    assert window_started_at(cp) == 1


def test_a_number_from_drained_windows_is_an_estimate() -> None:
    assert reasons(after((1, 10))) == {Reason.LEGACY_SOURCE}
    assert completeness_of(reasons(after((1, 10)))) is Completeness.ESTIMATED


def test_an_idle_agent_is_no_estimate_yet() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(None, {}, started=1)), 0)
    assert reasons(cp) == set()


def test_two_workers_that_alternate_are_not_counted_without_bound() -> None:
    cp = after((1, 100), (2, 40), (1, 105), (2, 41), (1, 105), (2, 41))
    assert totals(cp).input == 105 + 41


def test_a_sender_without_starts_counts_its_highest_reading() -> None:
    assert totals(after((None, 10), (None, 25), (None, 20))).input == 25


def test_containers_of_one_pod_add() -> None:
    cp = after((1, 10), container="left")
    cp = observe(cp, POD, reading(snapshot(None, 7, started=1)), 9, "right")
    assert totals(cp).input == 17


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 50)), max_size=30))
def test_order_and_repetition_of_open_windows_change_nothing(
    windows: list[tuple[int, int]],
) -> None:
    assert totals(after(*windows)) == totals(after(*reversed(windows), *windows))
    highest = {start: max(n for s, n in windows if s == start) for start, _ in windows}
    assert totals(after(*windows)).input == sum(highest.values())


def test_windows_past_the_bound_are_summed_and_late_readings_of_them_ignored() -> None:
    windows = [(start, 10) for start in range(1, MAX_OPEN_WINDOWS + 11)]
    cp = after(*windows)
    assert totals(cp).input == 10 * len(windows)
    late = observe(cp, POD, reading(snapshot(None, 500, started=10)), 99)
    assert same_numbers(cp, late)
    still_open = observe(cp, POD, reading(snapshot(None, 15, started=11)), 99)
    assert totals(still_open).input == 10 * len(windows) + 5


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 50)), max_size=120))
def test_totals_of_windows_never_fall_nor_exceed_what_was_sent(
    windows: list[tuple[int, int]],
) -> None:
    cp = new_checkpoint("e1")
    before = totals(cp)
    for at, (start, amount) in enumerate(windows):
        cp = observe(cp, POD, reading(snapshot(None, amount, started=start)), at)
        assert totals(cp).covers(before)
        before = totals(cp)
    highest: dict[int, int] = {}
    for start, amount in windows:
        highest[start] = max(highest.get(start, 0), amount)
    assert totals(cp).input <= sum(highest.values())
    assert sum_counts(row.counts for row in model_usage(cp)) == totals(cp)


@pytest.mark.parametrize(
    ("start", "amount", "needed"),
    [
        pytest.param(1, 99, False, id="a window that is known"),
        pytest.param(2, 1, True, id="a window that is not"),
        pytest.param(None, 1, True, id="without a start"),
    ],
)
def test_an_unknown_window_needs_a_confirmation(
    start: int | None, amount: int, needed: bool
) -> None:
    seen = reading(snapshot(None, amount, started=start))
    assert needs_confirmation(after((1, 10)), POD.uid, seen) is needed


def test_an_empty_window_needs_no_confirmation() -> None:
    empty = reading(snapshot(None, {}, started=2))
    assert not needs_confirmation(after((1, 10)), POD.uid, empty)


def test_without_starts_only_what_changes_nothing_needs_no_confirmation() -> None:
    cp = after((None, 10))
    assert not needs_confirmation(cp, POD.uid, reading(snapshot(None, 10)))
    assert needs_confirmation(cp, POD.uid, reading(snapshot(None, 11)))
    assert needs_confirmation(cp, OTHER_POD.uid, reading(snapshot(None, 10)))


def test_a_pod_that_is_gone_keeps_its_tokens_and_never_comes_back() -> None:
    cp = fold(after((1, 10), (2, 20)), [POD.uid])
    assert totals(cp).input == 30
    assert pods(cp) == set()
    assert Reason.POD_EXITED_UNSCRAPED in reasons(cp)
    again = observe(cp, POD, reading(snapshot(None, 25, started=2)), 99)
    assert totals(again).input == 30


def test_in_a_new_epoch_only_growth_and_new_windows_count() -> None:
    cp = restart_epoch("e2", [POD])
    cp = observe(cp, POD, reading(snapshot(None, 100, started=500)), 1000)
    assert totals(cp).input == 0
    cp = observe(cp, POD, reading(snapshot(None, 130, started=500)), 2000)
    cp = observe(cp, POD, reading(snapshot(None, 7, started=1500)), 3000)
    cp = observe(cp, LATER_POD, reading(snapshot(None, 5, started=500)), 3000)
    assert totals(cp).input == 30 + 7 + 5


def test_sources_past_the_bound_are_summed_and_return_at_what_is_seen() -> None:
    cp = new_checkpoint("e1")
    for number in range(MAX_LEGACY + 1):
        seen = reading(snapshot(None, 10, started=500))
        cp = observe(cp, numbered_pod(number), seen, 1000 + number)
    assert len(cp.legacy) == MAX_LEGACY
    assert totals(cp).input == 10 * (MAX_LEGACY + 1)
    back = observe(cp, numbered_pod(0), reading(snapshot(None, 12, started=500)), 5000)
    assert totals(back).input == 10 * (MAX_LEGACY + 1)
    grown = observe(back, numbered_pod(0), reading(snapshot(None, 15, started=500)), 6000)
    assert totals(grown) == totals(cp) + tokens(3, calls=0)
