"""A fold moves numbers and changes none; what returns after it adds only growth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.checkpoint import (
    Source,
    choose_source,
    fold,
    instances,
    model_usage,
    needs_confirmation,
    new_checkpoint,
    observe,
    pods,
    reasons,
    same_numbers,
    source_of,
    totals,
    upper_tokens,
)
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import sum_counts
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.metering.state import MAX_LIVE
from tests.unit.metering.readings import (
    OTHER_POD,
    POD,
    A,
    B,
    histories,
    numbered_id,
    numbered_pod,
    reading,
    snapshot,
)


def test_a_pod_that_is_gone_keeps_its_tokens() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100)), 1000)
    cp = observe(cp, OTHER_POD, reading(snapshot(B, 10)), 1000)
    folded = fold(cp, [POD.uid])
    assert totals(folded) == totals(cp)
    assert model_usage(folded) == model_usage(cp)
    assert pods(folded) == {OTHER_POD.uid}
    assert [instance.id for instance in instances(folded)] == [B]


def test_a_pod_that_ended_without_a_final_snapshot_is_a_lower_bound() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100)), 1000)
    assert reasons(fold(cp, [POD.uid])) == {Reason.POD_EXITED_UNSCRAPED}


def test_a_pod_whose_instances_all_said_that_they_ended_is_exact() -> None:
    both = reading(snapshot(A, 100, final=True), snapshot(B, 1, final=True))
    cp = observe(new_checkpoint("e1"), POD, both, 1000)
    assert reasons(fold(cp, [POD.uid])) == set()


def test_a_pod_that_ran_and_was_never_read_is_a_lower_bound() -> None:
    cp = new_checkpoint("e1")
    assert reasons(fold(cp, [POD.uid])) == set()
    assert reasons(fold(cp, [POD.uid], unread=[POD.uid])) == {Reason.POD_EXITED_UNSCRAPED}


def test_folding_pods_that_nothing_is_known_of_changes_nothing() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100)), 1000)
    assert same_numbers(cp, fold(cp, [OTHER_POD.uid]))


def test_a_fold_forgets_the_choice_of_source() -> None:
    cp = choose_source(new_checkpoint("e1"), POD.uid, Source.AGENT)
    assert source_of(fold(cp, [POD.uid]), POD.uid) is None


def test_an_instance_that_returns_after_a_mistaken_fold_adds_only_growth() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100)), 1000)
    cp = fold(cp, [POD.uid])
    assert not needs_confirmation(cp, POD.uid, reading(snapshot(A, 130)))
    cp = observe(cp, POD, reading(snapshot(A, 130)), 2000)
    assert totals(cp).input == 130
    assert totals(fold(cp, [POD.uid])).input == 130


def test_a_tombstone_answers_only_for_its_own_pod() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100)), 1000)
    cp = observe(fold(cp, [POD.uid]), OTHER_POD, reading(snapshot(A, 130)), 2000)
    assert totals(cp).input == 100


def test_models_of_a_returned_instance_count_from_what_is_seen() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, {"gpt": 100})), 1000)
    cp = fold(cp, [POD.uid])
    cp = observe(cp, POD, reading(snapshot(A, {"gpt": 130})), 2000)
    cp = observe(cp, POD, reading(snapshot(A, {"gpt": 150})), 3000)
    assert {row.model: row.counts.input for row in model_usage(cp)} == {
        "gpt": 120,
        "__unattributed__": 30,
    }


@given(histories(), st.sets(st.integers(0, 30)))
def test_folds_at_any_moment_change_no_total(shown: list[UsageSnapshot], folds: set[int]) -> None:
    plain = folded = new_checkpoint("e1")
    for at, one in enumerate(shown):
        plain = observe(plain, POD, reading(one), at)
        folded = observe(folded, POD, reading(one), at)
        if at in folds:
            folded = fold(folded, [POD.uid])
        assert totals(folded) == totals(plain)
        assert sum_counts(row.counts for row in model_usage(folded)) == totals(plain)


def test_the_upper_bound_survives_folds_and_returns() -> None:
    cp = observe(new_checkpoint("e1"), POD, reading(snapshot(A, 100, upper_tokens=130)), 1000)
    for _ in range(3):
        cp = fold(cp, [POD.uid])
        assert upper_tokens(cp) == 130
        cp = observe(cp, POD, reading(snapshot(A, 100, upper_tokens=130)), 2000)
        assert upper_tokens(cp) == 130


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        pytest.param({40}, 40, id="the one that said that it ended"),
        pytest.param({40, 50}, 40, id="the longer unseen of two that ended"),
        pytest.param(set(), 0, id="the longest unseen when none ended"),
    ],
)
def test_past_the_bound_the_instance_least_likely_to_grow_is_folded(
    ended: set[int], expected: int
) -> None:
    cp = new_checkpoint("e1")
    for number in range(MAX_LIVE + 1):
        one = snapshot(numbered_id(number), 1, final=number in ended)
        cp = observe(cp, numbered_pod(number), reading(one), number)
    alive = {instance.id for instance in instances(cp)}
    assert len(alive) == MAX_LIVE
    assert numbered_id(expected) not in alive
    assert totals(cp).input == MAX_LIVE + 1
