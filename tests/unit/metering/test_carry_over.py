"""After a conflict: the other writer's state, and everything that we saw on top of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    Source,
    carry_over,
    choose_source,
    fold,
    model_usage,
    new_checkpoint,
    observe,
    reasons,
    same_numbers,
    source_of,
    totals,
    upper_tokens,
    window_started_at,
)
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.snapshot import UsageSnapshot
from tests.unit.metering.readings import LATER_POD, OTHER_POD, POD, A, B, reading, snapshot


def start(*seen: UsageSnapshot) -> Checkpoint:
    cp = new_checkpoint("e1")
    for one in seen:
        cp = observe(cp, POD, reading(one), 1000)
    return cp


def seeing(cp: Checkpoint, *seen: UsageSnapshot) -> Checkpoint:
    for one in seen:
        cp = observe(cp, POD, reading(one), 2000)
    return cp


def test_both_sides_growth_of_one_instance_is_joined() -> None:
    common = start(snapshot(A, 100))
    theirs, ours = seeing(common, snapshot(A, 120)), seeing(common, snapshot(A, 150))
    assert totals(carry_over(theirs, ours, 3000)).input == 150
    assert totals(carry_over(ours, theirs, 3000)).input == 150


def test_that_they_saw_more_is_no_regression() -> None:
    common = start(snapshot(A, 100))
    theirs, ours = seeing(common, snapshot(A, 150)), seeing(common, snapshot(A, 120))
    assert reasons(carry_over(theirs, ours, 3000)) == set()


def test_an_instance_that_only_we_met_counts() -> None:
    common = start(snapshot(A, 100))
    ours = seeing(common, snapshot(B, {"gpt": 30, "o3": 5}))
    carried = carry_over(common, ours, 3000)
    assert totals(carried).input == 135
    assert model_usage(carried) == model_usage(ours)
    assert same_numbers(carried, ours)


def test_an_instance_that_they_folded_adds_only_what_we_saw_it_grow() -> None:
    common = start(snapshot(A, 100))
    theirs, ours = fold(common, [POD.uid]), seeing(common, snapshot(A, 130))
    assert totals(carry_over(theirs, ours, 3000)).input == 130


def test_an_instance_that_only_we_met_and_folded_counts() -> None:
    common = start(snapshot(A, 100, final=True))
    ours = fold(seeing(common, snapshot(B, 30, final=True)), [POD.uid])
    carried = carry_over(common, ours, 3000)
    assert totals(carried).input == 130
    assert reasons(fold(carried, [POD.uid])) == {Reason.TRUNCATED}


def test_carrying_over_again_changes_nothing() -> None:
    common = start(snapshot(A, 100))
    theirs, ours = seeing(common, snapshot(A, 120)), seeing(common, snapshot(B, 7))
    once = carry_over(theirs, ours, 3000)
    assert same_numbers(once, carry_over(once, ours, 4000))
    assert same_numbers(once, carry_over(once, theirs, 4000))


def test_what_they_may_have_forgotten_begins_at_what_we_saw() -> None:
    theirs = replace(
        new_checkpoint("e1"), lost_until=POD.created_at, forgotten_until=POD.created_at
    )
    ours = start(snapshot(A, 100))
    carried = carry_over(theirs, ours, 3000)
    assert totals(carried).input == 0
    assert totals(seeing(carried, snapshot(A, 120))).input == 20
    assert Reason.AGENT_RESTARTED in reasons(carried)


def test_their_choice_of_source_stands_and_the_other_endpoint_makes_no_count() -> None:
    theirs = choose_source(new_checkpoint("e1"), POD.uid, Source.SIDECAR)
    theirs = observe(theirs, POD, reading(snapshot(A, 100)), 1000)
    ours = choose_source(new_checkpoint("e1"), POD.uid, Source.AGENT)
    ours = observe(ours, POD, reading(snapshot(B, 100)), 1000)
    ours = choose_source(ours, OTHER_POD.uid, Source.AGENT)
    carried = carry_over(theirs, ours, 3000)
    assert totals(carried).input == 100
    assert source_of(carried, POD.uid) is Source.SIDECAR
    assert source_of(carried, OTHER_POD.uid) is Source.AGENT


def test_doubts_bounds_and_starts_of_both_sides_are_kept() -> None:
    theirs = start(snapshot(A, 100, started=700, invalid_calls=1))
    ours = start(snapshot(A, 100, started=600, upper_tokens=130))
    carried = carry_over(theirs, ours, 3000)
    assert {Reason.INVALID_USAGE, Reason.OBSERVERS_UNJOINED} <= reasons(carried)
    assert upper_tokens(carried) == 130
    assert window_started_at(carried) == 600


def test_doubts_of_another_epoch_are_not() -> None:
    ours = start(snapshot(A, 100, invalid_calls=1))
    assert reasons(carry_over(new_checkpoint("e2"), ours, 3000)) == set()


@pytest.mark.parametrize(
    ("theirs_saw", "ours_saw", "expected"),
    [
        pytest.param([(1, 10)], [(1, 15)], 15, id="one window further"),
        pytest.param([(1, 10)], [(1, 10), (2, 7)], 17, id="another window"),
        pytest.param([], [(1, 10), (2, 7)], 17, id="a source that they never met"),
    ],
)
def test_drained_windows_are_joined_window_by_window(
    theirs_saw: list[tuple[int, int]], ours_saw: list[tuple[int, int]], expected: int
) -> None:
    theirs = start(*[snapshot(None, amount, started=at) for at, amount in theirs_saw])
    ours = start(*[snapshot(None, amount, started=at) for at, amount in ours_saw])
    carried = carry_over(theirs, ours, 3000)
    assert totals(carried).input == expected
    assert same_numbers(carried, carry_over(carried, ours, 4000))


def test_drained_windows_of_a_pod_that_they_folded_do_not_count_again() -> None:
    common = start(snapshot(None, 10, started=1))
    assert totals(carry_over(fold(common, [POD.uid]), common, 3000)).input == 10


def test_drained_windows_that_they_may_have_forgotten_begin_at_what_we_saw() -> None:
    theirs = replace(
        new_checkpoint("e1"), lost_until=POD.created_at, forgotten_until=POD.created_at
    )
    ours = start(snapshot(None, 10, started=1))
    ours = observe(ours, LATER_POD, reading(snapshot(None, 4, started=1)), 2000)
    assert totals(carry_over(theirs, ours, 3000)).input == 4
