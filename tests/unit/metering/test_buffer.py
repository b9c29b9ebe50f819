"""What waits is bounded, whole, and merged only where no price can tell."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.buffer import BufferLimits, Stretch, UnsentBuffer
from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.frame import BUCKET_MS, Aggregate, Frame, broken_law, bucket_of
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import MAX_SERIES, OTHER, SeriesKey
from agentspec_usage.metering.snapshot import Observer
from tests.unit.metering.readings import A
from tests.unit.metering.records import SMALL, START, record

BUCKET = bucket_of(START)


def taken(buffer: UnsentBuffer) -> list[Stretch]:
    stretches = []
    while (stretch := buffer.take()) is not None:
        stretches.append(stretch)
    return stretches


def filled(calls: list[UsageRecord], limits: BufferLimits) -> UnsentBuffer:
    buffer = UnsentBuffer(limits)
    for seq, call in enumerate(calls, 1):
        buffer.append(replace(call, seq=seq))
    return buffer


MODELS = ("gpt", "o3", "opus", "haiku")

calls = st.builds(
    record,
    st.just(1),
    st.integers(1, 99),
    at=st.integers(START, START + 4 * BUCKET_MS),
    model=st.sampled_from(MODELS),
)


@given(st.lists(calls, max_size=60))
def test_every_call_leaves_once_in_frames_that_cover_their_stretch(
    handed_in: list[UsageRecord],
) -> None:
    stretches = taken(filled(handed_in, SMALL))
    at = 0
    for stretch in stretches:
        assert stretch.since == at
        frame = Frame(A, Observer.SDK, stretch.since, stretch.last, stretch.totals, stretch.items)
        assert broken_law(frame) is None
        at = stretch.last
    assert at == len(handed_in)
    items = [item for stretch in stretches for item in stretch.items]
    assert sum_counts(item.counts for item in items) == sum_counts(
        call.counts for call in handed_in
    )
    nameless = any(item.key == OTHER for item in items)
    for model in MODELS:
        true = sum_counts(call.counts for call in handed_in if call.key.model == model)
        named = sum_counts(item.counts for item in items if item.key.model == model)
        assert named == true or (nameless and named.input < true.input)


@given(st.lists(calls, max_size=60))
def test_no_series_loses_its_name_while_a_frame_has_room_for_it(
    handed_in: list[UsageRecord],
) -> None:
    roomy = replace(SMALL, frame_items=len(MODELS) + 1)
    items = [item for stretch in taken(filled(handed_in, roomy)) for item in stretch.items]
    for model in MODELS:
        true = sum_counts(call.counts for call in handed_in if call.key.model == model)
        assert sum_counts(item.counts for item in items if item.key.model == model) == true


def test_a_full_frame_keeps_the_numbers_of_series_it_cannot_name() -> None:
    one_of_each = [record(1, 1, model=model) for model in MODELS]
    later = [record(1, 1, at=START + 9 * BUCKET_MS, model=model) for model in MODELS]
    items = [
        item
        for stretch in taken(filled(one_of_each + later + one_of_each, SMALL))
        for item in stretch.items
    ]
    (other,) = (item for item in items if item.key == OTHER)
    assert sum(item.counts.input for item in items) == 3 * len(MODELS)
    assert other.counts.input >= 1


@given(st.lists(calls, max_size=60))
def test_only_what_is_marked_coarse_is_dated_into_another_bucket(
    handed_in: list[UsageRecord],
) -> None:
    stretches = taken(filled(handed_in, SMALL))
    timely: dict[int, int] = {}
    for stretch in stretches:
        for item in stretch.items:
            if isinstance(item, Aggregate) and item.coarse:
                continue
            bucket = item.bucket if isinstance(item, Aggregate) else bucket_of(item.at)
            timely[bucket] = timely.get(bucket, 0) + item.counts.input
    for bucket, tokens in timely.items():
        true = sum(call.counts.input for call in handed_in if bucket_of(call.at) == bucket)
        assert tokens <= true


def test_calls_of_one_series_and_bucket_make_one_aggregate() -> None:
    buffer = filled([record(1, at=BUCKET + n) for n in range(8)], SMALL)
    first = buffer.take()
    assert first is not None
    (item,) = first.items
    assert isinstance(item, Aggregate)
    assert (item.from_seq, item.bucket, item.coarse) == (1, BUCKET, False)
    assert item.counts == TokenCounts(input=10 * item.to_seq, calls=item.to_seq)


def test_calls_of_different_context_classes_are_never_added() -> None:
    large = replace(record(1), key=replace(record(1).key, context_class=200000))
    buffer = filled([large, record(1)] * 5, SMALL)
    first = buffer.take()
    assert first is not None
    assert len(first.items) == 2


def test_an_aborted_call_marks_its_aggregate() -> None:
    aborted = replace(record(1), status=CallStatus.ABORTED)
    buffer = filled([record(1), aborted, *[record(1)] * 6], SMALL)
    first = buffer.take()
    assert first is not None
    assert [item.status for item in first.items] == [CallStatus.ABORTED]


def test_what_waits_is_bounded_however_many_series_and_hours_there_are() -> None:
    limits = BufferLimits(records=10, aggregates=20, frame_items=7)
    buffer = UnsentBuffer(limits)
    for seq in range(1, 3001):
        at = START + seq * BUCKET_MS
        key = SeriesKey("p", f"model-{seq}")
        buffer.append(UsageRecord(seq, at, key, TokenCounts(input=1, calls=1)))
        assert buffer.items <= 10 + 20 + MAX_SERIES + 7
    items = [item for stretch in taken(buffer) for item in stretch.items]
    assert sum(item.counts.input for item in items) == 3000
    assert any(isinstance(item, Aggregate) and item.coarse for item in items)


def test_merging_is_left_again_when_there_is_room() -> None:
    buffer = filled([record(1)] * 9, SMALL)
    taken(buffer)
    buffer.append(record(10))
    last = buffer.take()
    assert last is not None
    assert isinstance(last.items[0], UsageRecord)
