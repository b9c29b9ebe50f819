"""What readings make of a total: stories of agents that restart, race and stall."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    Source,
    choose_source,
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
    window_started_at,
)
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.snapshot import UsageReading, UsageSnapshot
from agentspec_usage.metering.state import MAX_SOURCES, PodIdentity
from tests.unit.metering.readings import (
    OTHER_POD,
    POD,
    A,
    B,
    C,
    numbered_pod,
    reading,
    snapshot,
    tokens,
)


def after(*seen: UsageSnapshot | UsageReading, pod: PodIdentity = POD) -> Checkpoint:
    """The state after these readings of one pod, a second apart."""
    cp = new_checkpoint("e1")
    for second, one in enumerate(seen, 1):
        whole = one if isinstance(one, UsageReading) else reading(one)
        cp = observe(cp, pod, whole, second * 1000)
    return cp


def rows(cp: Checkpoint) -> dict[str, int]:
    return {row.model: row.counts.input for row in model_usage(cp)}


def test_nothing_read_is_nothing_counted() -> None:
    cp = new_checkpoint("e1")
    assert not totals(cp)
    assert not any([model_usage(cp), reasons(cp), pods(cp), instances(cp)])
    assert (upper_tokens(cp), window_started_at(cp)) == (None, None)


def test_a_first_reading_counts_from_zero() -> None:
    cp = after(snapshot(A, {"gpt": 70, "o3": 30}))
    assert totals(cp) == tokens(100, calls=2)
    assert rows(cp) == {"gpt": 70, "o3": 30}
    assert reasons(cp) == set()


def test_reading_again_changes_nothing_that_must_be_written() -> None:
    once = after(snapshot(A, 100))
    twice = observe(once, POD, reading(snapshot(A, 100)), 9000)
    assert same_numbers(once, twice)
    assert instances(twice)[0].seen_at == 9000


def test_growth_must_be_written() -> None:
    once = after(snapshot(A, 100))
    assert not same_numbers(once, observe(once, POD, reading(snapshot(A, 101)), 9000))


def test_the_end_of_an_instance_must_be_written() -> None:
    once = after(snapshot(A, 100))
    ended = observe(once, POD, reading(snapshot(A, 100, final=True)), 9000)
    assert not same_numbers(once, ended)
    assert instances(ended)[0].final


def test_two_workers_that_answer_in_turn_are_counted_once_each() -> None:
    # Prometheus' rule, to add after every drop, makes 286 and more of these 146 tokens.
    cp = after(snapshot(A, 100), snapshot(B, 40), snapshot(A, 105), snapshot(B, 41))
    assert totals(cp).input == 105 + 41
    assert reasons(cp) == set()


def test_two_workers_listed_in_one_answer_add() -> None:
    cp = after(reading(snapshot(A, 100), snapshot(B, 40)))
    assert totals(cp).input == 140


def test_a_restarted_agent_does_not_make_the_total_fall() -> None:
    cp = after(snapshot(A, 100, started=500), snapshot(B, 3, started=1500))
    assert totals(cp).input == 103
    assert reasons(cp) == {Reason.AGENT_RESTARTED}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            reading(snapshot(A, 100, started=500, final=True)),
            reading(snapshot(B, 3, started=1500)),
            id="the one before said that it ended",
        ),
        pytest.param(
            reading(snapshot(A, 100, started=500)),
            reading(snapshot(B, 3, started=900)),
            id="both ran before",
        ),
        pytest.param(
            reading(snapshot(A, 100, started=500)),
            reading(snapshot(A, 100, started=500), snapshot(B, 3, started=1500)),
            id="both are there",
        ),
        pytest.param(
            reading(snapshot(A, 100)), reading(snapshot(B, 3)), id="nobody says when it began"
        ),
    ],
)
def test_another_instance_is_not_always_a_restart(
    first: UsageReading, second: UsageReading
) -> None:
    assert reasons(after(first, second)) == set()


def test_a_restart_in_another_pod_is_no_restart_of_this_one() -> None:
    cp = after(snapshot(A, 100, started=500))
    cp = observe(cp, OTHER_POD, reading(snapshot(B, 3, started=1500)), 2000)
    assert reasons(cp) == set()


def test_a_counter_that_falls_is_flagged_and_the_total_stays() -> None:
    cp = after(snapshot(A, 100, seq=5), snapshot(A, 60, seq=6))
    assert totals(cp).input == 100
    assert reasons(cp) == {Reason.COUNTER_REGRESSION}


def test_a_counter_that_falls_without_a_seq_is_flagged() -> None:
    assert reasons(after(snapshot(A, 100), snapshot(A, 60))) == {Reason.COUNTER_REGRESSION}


def test_a_stale_copy_with_a_lower_seq_is_harmless() -> None:
    cp = after(snapshot(A, 100, seq=5), snapshot(A, 60, seq=4))
    assert totals(cp).input == 100
    assert reasons(cp) == set()


def test_one_component_that_falls_while_another_grows_takes_the_higher_of_both() -> None:
    cp = after(
        snapshot(A, {}, totals=TokenCounts(input=100, output=10, calls=1), seq=1),
        snapshot(A, {}, totals=TokenCounts(input=90, output=20, calls=2), seq=2),
    )
    assert totals(cp) == TokenCounts(input=100, output=20, calls=2)
    assert Reason.COUNTER_REGRESSION in reasons(cp)


def test_the_same_instance_met_in_two_pods_belongs_to_the_first() -> None:
    cp = after(snapshot(A, 100))
    again = observe(cp, OTHER_POD, reading(snapshot(A, 500)), 9000)
    assert totals(again).input == 100
    assert not needs_confirmation(cp, OTHER_POD.uid, reading(snapshot(A, 500)))


def test_an_unknown_instance_needs_a_confirmation_and_a_known_one_does_not() -> None:
    cp = after(snapshot(A, 100))
    assert not needs_confirmation(cp, POD.uid, reading(snapshot(A, 500)))
    assert needs_confirmation(cp, POD.uid, reading(snapshot(B, 1)))
    assert needs_confirmation(cp, POD.uid, reading(snapshot(A, 500), snapshot(B, 1)))


def test_what_goes_through_the_sidecar_makes_no_count_where_the_sidecar_is_read() -> None:
    cp = choose_source(new_checkpoint("e1"), POD.uid, Source.SIDECAR)
    via = reading(snapshot(A, 100, via="sidecar"))
    assert not needs_confirmation(cp, POD.uid, via)
    cp = observe(cp, POD, via, 1000)
    cp = observe(cp, POD, reading(snapshot(B, 100)), 2000)
    assert totals(cp).input == 100


def test_what_goes_through_a_sidecar_counts_where_only_the_agent_is_read() -> None:
    cp = choose_source(new_checkpoint("e1"), POD.uid, Source.AGENT)
    cp = observe(cp, POD, reading(snapshot(A, 100, via="sidecar")), 1000)
    assert totals(cp).input == 100


def test_a_source_once_chosen_stays() -> None:
    cp = choose_source(new_checkpoint("e1"), POD.uid, Source.SIDECAR)
    cp = choose_source(cp, POD.uid, Source.AGENT)
    assert source_of(cp, POD.uid) is Source.SIDECAR
    assert source_of(cp, OTHER_POD.uid) is None
    assert pods(cp) == {POD.uid}


def test_choices_of_source_are_bounded_and_those_of_counted_pods_are_kept() -> None:
    cp = choose_source(new_checkpoint("e1"), POD.uid, Source.SIDECAR)
    cp = observe(cp, POD, reading(snapshot(A, 1)), 1000)
    for number in range(MAX_SOURCES + 5):
        cp = choose_source(cp, numbered_pod(number).uid, Source.AGENT)
    assert len(pods(cp)) == MAX_SOURCES
    assert source_of(cp, POD.uid) is Source.SIDECAR
    assert source_of(cp, numbered_pod(MAX_SOURCES + 4).uid) is Source.AGENT


def test_an_upper_bound_is_shown_beside_the_total() -> None:
    cp = after(snapshot(A, 100, upper_tokens=130), snapshot(B, 50))
    assert totals(cp).total == 150
    assert upper_tokens(cp) == 180
    assert reasons(cp) == {Reason.OBSERVERS_UNJOINED}


def test_an_upper_bound_that_the_total_reached_is_none() -> None:
    cp = after(snapshot(A, 100, upper_tokens=130), snapshot(A, 130, upper_tokens=130))
    assert upper_tokens(cp) is None
    assert reasons(cp) == set()


def test_invalid_and_unmetered_calls_are_doubts_that_stay() -> None:
    unmetered = TokenCounts(input=5, calls=2, unmetered_calls=1)
    cp = after(snapshot(A, {}, totals=unmetered, invalid_calls=1), snapshot(B, 5))
    assert {Reason.INVALID_USAGE, Reason.UNMETERED_CALLS} <= reasons(cp)


def test_a_total_at_the_bound_says_that_it_stopped_counting() -> None:
    cp = after(snapshot(A, MAX_COUNT), snapshot(B, 5))
    assert totals(cp).input == MAX_COUNT
    assert Reason.SATURATED in reasons(cp)


def test_rows_that_were_left_out_are_unattributed_and_cost_no_token() -> None:
    cp = after(snapshot(A, {"gpt": 60}, totals=tokens(100, calls=3)))
    assert totals(cp).input == 100
    assert rows(cp) == {"gpt": 60, "__unattributed__": 40}
    assert reasons(cp) == {Reason.TRUNCATED}


def test_a_model_that_appears_later_counts_from_zero_where_every_row_was_shown() -> None:
    cp = after(snapshot(A, {"gpt": 60}), snapshot(A, {"gpt": 60, "o3": 7}))
    assert rows(cp) == {"gpt": 60, "o3": 7}


def test_a_model_that_appears_later_counts_its_growth_where_rows_were_left_out() -> None:
    # The 40 unattributed tokens may be o3's: of its 50 only what comes after is its own.
    cp = after(
        snapshot(A, {"gpt": 60}, totals=tokens(100, calls=2)),
        snapshot(A, {"gpt": 60, "o3": 50}, totals=tokens(110, calls=3)),
        snapshot(A, {"gpt": 60, "o3": 58}, totals=tokens(118, calls=4)),
    )
    assert rows(cp) == {"gpt": 60, "o3": 8, "__unattributed__": 50}


def test_the_earliest_start_is_where_the_window_began() -> None:
    cp = after(snapshot(A, 1, started=900), snapshot(B, 1, started=700), snapshot(C, 1))
    assert window_started_at(cp) == 700
