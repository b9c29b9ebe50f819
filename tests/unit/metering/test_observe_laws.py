"""Order, repetition and chunking of readings change nothing, and totals never fall."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.metering.checkpoint import (
    Checkpoint,
    model_usage,
    new_checkpoint,
    observe,
    reasons,
    totals,
)
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts, sum_counts
from agentspec_usage.metering.models import MAX_MODELS
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageReading, UsageSnapshot
from agentspec_usage.metering.state import MAX_LIVE, MAX_SPILLED, MAX_TOMBSTONES
from tests.unit.metering.readings import (
    POD,
    counts,
    histories,
    numbered_id,
    numbered_pod,
    reading,
    snapshot,
    tokens,
)

deliveries = st.lists(histories(), max_size=3, unique_by=lambda shown: _who(shown)).map(
    lambda lives: [one for shown in lives for one in shown]
)
"""Everything that up to three instances of one pod showed."""


def _who(shown: list[UsageSnapshot]) -> str:
    return shown[0].instance_id or "" if shown else ""


def after(readings: list[UsageReading]) -> Checkpoint:
    cp = new_checkpoint("e1")
    for one in readings:
        cp = observe(cp, POD, one, 1000)
    return cp


@given(deliveries, st.data())
def test_order_and_repetition_change_nothing(
    shown: list[UsageSnapshot], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(shown))
    repeated = [*shuffled, *data.draw(st.lists(st.sampled_from(shown)) if shown else st.just([]))]
    in_order = after([reading(one) for one in shown])
    other = after([reading(one) for one in repeated])
    assert totals(in_order) == totals(other)
    assert model_usage(in_order) == model_usage(other)
    assert reasons(in_order) == reasons(other)


@given(deliveries, st.integers(1, 5))
def test_how_snapshots_are_chunked_into_answers_changes_nothing(
    shown: list[UsageSnapshot], size: int
) -> None:
    chunks = [UsageReading(tuple(shown[at : at + size])) for at in range(0, len(shown), size)]
    one_by_one = after([reading(one) for one in shown])
    assert totals(after(chunks)) == totals(one_by_one)
    assert model_usage(after(chunks)) == model_usage(one_by_one)


@given(deliveries)
def test_all_readings_together_are_the_last_of_every_instance(shown: list[UsageSnapshot]) -> None:
    last = {one.instance_id: one.totals for one in shown}
    assert totals(after([reading(one) for one in shown])) == sum_counts(last.values())


hostile_snapshots = st.builds(
    UsageSnapshot,
    totals=counts,
    rows=st.lists(
        st.builds(
            SeriesRow,
            st.builds(SeriesKey, st.sampled_from(["", "p"]), st.text(max_size=3)),
            counts,
        ),
        max_size=4,
    ).map(tuple),
    instance_id=st.none() | st.integers(0, 3).map(numbered_id),
    seq=st.none() | st.integers(0, 5),
    window_started_at=st.none() | st.integers(0, 5) | st.integers(0, MAX_COUNT),
    final=st.booleans(),
    via=st.none() | st.just("sidecar"),
    invalid_calls=st.integers(0, 1),
    upper_tokens=st.none() | st.integers(0, MAX_COUNT),
)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.lists(hostile_snapshots, max_size=3).map(tuple)), max_size=8
    )
)
def test_whatever_is_sent_the_total_never_falls_and_the_rows_sum_to_it(
    sent: list[tuple[int, tuple[UsageSnapshot, ...]]],
) -> None:
    cp = new_checkpoint("e1")
    before = totals(cp)
    for at, (pod, snapshots) in enumerate(sent):
        cp = observe(cp, numbered_pod(pod), UsageReading(snapshots), at)
        now = totals(cp)
        assert now.covers(before)
        assert sum_counts(row.counts for row in model_usage(cp)) == now
        before = now


def test_ten_thousand_models_cost_no_token_and_little_memory() -> None:
    row_counts = {f"m{number}": number for number in range(10_000)}
    cp = after([reading(snapshot(numbered_id(1), row_counts))])
    assert totals(cp).input == sum(range(10_000))
    assert len(cp.live[numbered_id(1)].meter.models) == MAX_MODELS
    shown = model_usage(cp)
    assert shown[0].model == "m9999"
    assert sum_counts(row.counts for row in shown) == totals(cp)


def test_a_thousand_replicas_are_counted_exactly_in_a_bounded_state() -> None:
    # Four rounds over more instances than a state holds: every reading brings a retired one back.
    chance = random.Random(7)
    cp = new_checkpoint("e1")
    used = [0] * 1000
    for _ in range(4):
        for number in range(1000):
            used[number] += chance.randrange(100)
            one = reading(snapshot(numbered_id(number), used[number]))
            cp = observe(cp, numbered_pod(number), one, 1000)
    assert totals(cp).input == sum(used)
    assert len(cp.live) == MAX_LIVE
    assert len(cp.tombstones) == MAX_TOMBSTONES
    assert reasons(cp) <= {"Truncated"}


def test_instances_without_end_cost_bounded_memory_and_no_token_before_the_bound() -> None:
    cp = new_checkpoint("e1")
    born = MAX_LIVE + MAX_TOMBSTONES + MAX_SPILLED + 50
    for number in range(born):
        cp = observe(cp, POD, reading(snapshot(numbered_id(number), 1)), number)
    kept = len(cp.live) + len(cp.tombstones) + len(cp.spilled)
    assert kept <= born - 50
    assert cp.forgotten_until == POD.created_at
    # Every instance counts until the first is forgotten; then a new one may be an old one.
    assert born - 100 < totals(cp).input <= born


@settings(max_examples=20)
@given(st.lists(counts, min_size=2, max_size=6))
def test_sums_beyond_the_bound_saturate_and_stay(vectors: list[TokenCounts]) -> None:
    cp = new_checkpoint("e1")
    for number, vector in enumerate(vectors):
        cp = observe(cp, POD, reading(snapshot(numbered_id(number), {}, totals=vector)), 0)
    assert totals(cp) == sum_counts(vectors)
    assert totals(observe(cp, POD, reading(snapshot("f" * 32, 1)), 0)).covers(tokens(0, calls=0))
