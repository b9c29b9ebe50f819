"""What grew between two checkpoints, by series."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    carry_over,
    fold,
    growth,
    new_checkpoint,
    observe,
    totals,
)
from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.wire.writer_state import pack, unpack
from tests.unit.metering.readings import OTHER_POD, POD, A, B

SMALL = SeriesKey("openai", "gpt")
LARGE = SeriesKey("openai", "gpt", context_class=200_000)
OTHER = SeriesKey("anthropic", "claude", service_tier="batch")


def read(instance: str | None, series: dict[SeriesKey, int], window: int = 0) -> UsageReading:
    """A reading of input tokens by series."""
    rows = tuple(SeriesRow(key, TokenCounts(tokens)) for key, tokens in series.items())
    return UsageReading(
        (
            UsageSnapshot(
                sum_counts(row.counts for row in rows),
                rows,
                instance_id=instance,
                window_started_at=window,
            ),
        )
    )


def grown(before: Checkpoint, after: Checkpoint, reading: UsageReading) -> dict[SeriesKey, int]:
    return {row.key: row.counts.input for row in growth(before, after, reading)}


def test_a_first_reading_grew_by_all_of_it_and_the_same_reading_by_nothing() -> None:
    empty, reading = new_checkpoint("e1"), read(A, {SMALL: 5, LARGE: 7, OTHER: 11})
    first = observe(empty, POD, reading, 1)
    assert grown(empty, first, reading) == {SMALL: 5, LARGE: 7, OTHER: 11}
    assert grown(first, observe(first, POD, reading, 2), reading) == {}


def test_each_series_of_one_model_grows_by_itself() -> None:
    cp = observe(new_checkpoint("e1"), POD, read(A, {SMALL: 5, LARGE: 7}), 1)
    later = read(A, {SMALL: 6, LARGE: 27})
    assert grown(cp, observe(cp, POD, later, 2), later) == {SMALL: 1, LARGE: 20}


def test_after_a_restart_the_shares_are_a_guess_and_the_sum_is_not() -> None:
    cp = observe(new_checkpoint("e1"), POD, read(A, {SMALL: 5, LARGE: 7, OTHER: 1}), 1)
    cp = unpack(pack(cp)[1])
    later = read(A, {SMALL: 6, LARGE: 27, OTHER: 3})
    found = grown(cp, observe(cp, POD, later, 2), later)
    assert found.pop(OTHER) == 2
    assert sum(found.values()) == 21


def test_a_window_of_a_sender_without_an_instance_grows_as_well() -> None:
    empty = new_checkpoint("e1")
    cp = observe(empty, POD, read(None, {SMALL: 5}, window=10), 20)
    later = read(None, {SMALL: 8}, window=10)
    after = observe(cp, POD, later, 30)
    assert grown(cp, after, later) == {SMALL: 3}
    assert grown(empty, after, later) == {SMALL: 8}


def test_a_fold_is_no_growth() -> None:
    cp = observe(new_checkpoint("e1"), POD, read(A, {SMALL: 5}), 1)
    assert growth(cp, fold(cp, [POD.uid])) == []


def test_what_an_instance_used_before_it_was_met_again_is_no_growth() -> None:
    cp = fold(observe(new_checkpoint("e1"), POD, read(A, {SMALL: 5}), 1), [POD.uid])
    back = read(A, {SMALL: 9})
    after = observe(cp, POD, back, 2)
    assert totals(after).input == 9
    # Which model used the four tokens is not known, so nobody can price them.
    assert grown(cp, after, back) == {}


def test_after_a_conflict_only_what_the_other_had_not_seen_grew() -> None:
    shared = observe(new_checkpoint("e1"), POD, read(A, {SMALL: 5, LARGE: 7}), 1)
    ours = observe(shared, POD, read(A, {SMALL: 6, LARGE: 10}), 2)
    ours = observe(ours, OTHER_POD, read(B, {OTHER: 4}), 2)
    theirs = observe(shared, POD, read(A, {SMALL: 6, LARGE: 9}), 2)
    merged = carry_over(theirs, ours, 3)
    found = growth(theirs, merged)
    assert sum_counts(row.counts for row in found).input == 1 + 4
    assert {row.key for row in found if row.key.model == "gpt"} == {LARGE}


_series = st.dictionaries(
    st.builds(
        SeriesKey,
        provider=st.just("p"),
        model=st.sampled_from("abc"),
        context_class=st.sampled_from([0, 200_000]),
    ),
    st.integers(0, 1000),
    max_size=6,
)


@given(st.lists(_series, max_size=6), st.booleans())
def test_growth_sums_to_what_the_totals_grew_by(
    readings: list[dict[SeriesKey, int]], restarts: bool
) -> None:
    cp = new_checkpoint("e1")
    counted: dict[SeriesKey, int] = {}
    summed = 0
    for at, more in enumerate(readings):
        for key, tokens in more.items():
            counted[key] = counted.get(key, 0) + tokens
        reading = read(A, counted)
        after = observe(cp, POD, reading, at)
        summed += sum(grown(cp, after, reading).values())
        cp = unpack(pack(after)[1]) if restarts else replace(after)
        assert summed == totals(cp).input
