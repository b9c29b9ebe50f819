"""Frames survive the wire whole, and what is not a frame is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import WireError
from agentspec_usage.metering.buffer import BufferLimits, weight_of
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import Aggregate, Frame
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.record_bounds import bounded_record
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.wire.frame_header import decode_frame_header
from agentspec_usage.wire.records import MAX_FRAMES, decode_frame, decode_records
from agentspec_usage.wire.records_encoding import encode_frame, encode_records, frame_digest
from tests.unit.metering.readings import A
from tests.unit.metering.records import SMALL, bounded_records, outbox_with, records


def frame_of(*items: UsageRecord | Aggregate, since: int = 0) -> Frame:
    bare = Frame(A, Observer.SDK, since, since + len(items), TokenCounts(), tuple(items))
    return replace(bare, totals=bare.counted)


def spoiled(change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(encode_frame(outbox_with(2).spool().frames[0].frame))
    change(document)
    return json.dumps(document).encode()


@given(bounded_records)
def test_a_record_is_decoded_as_it_was(record: UsageRecord) -> None:
    frame = frame_of(record)
    assert decode_frame(encode_frame(frame)) == frame


@given(st.lists(records(), min_size=1, max_size=12))
def test_whatever_a_process_hands_in_arrives(handed_in: list[UsageRecord]) -> None:
    """What an outbox sends is never refused: one refusal would block its instance for ever."""
    outbox = Outbox(A, Observer.SDK, encode_frame, SMALL)
    for seq, record in enumerate(handed_in, 1):
        outbox.append(replace(record, seq=seq))
    frames = outbox.spool().frames
    decoded = decode_records(encode_records(sealed.body for sealed in frames))
    assert list(decoded) == [sealed.frame for sealed in frames]
    assert sum(frame.counted.calls for frame in decoded) == len(handed_in)


@given(records())
def test_an_item_takes_no_more_bytes_than_it_weighs(handed_in: UsageRecord) -> None:
    record = bounded_record(handed_in)
    aggregate = Aggregate(1, 1, 0, record.key, record.counts, requests=record.requests)
    empty = len(encode_frame(frame_of()))
    for item in (record, aggregate):
        with_totals = len(encode_frame(replace(frame_of(item), totals=TokenCounts())))
        assert with_totals - empty <= weight_of(item)


def test_the_largest_names_fit_into_a_body() -> None:
    name, raw = "\U0001f600" * 99, "\x00" * 2048
    outbox = Outbox(A, Observer.SDK, encode_frame, BufferLimits(records=300, aggregates=500))
    for seq in range(1, 1501):
        key = SeriesKey(f"{seq}{name}", name, name, name, name)
        context = CallContext(name, name, name, name, name, {f"{n}{name}": name for n in range(16)})
        requests = {f"{seq}{n}{name}": 2**53 - 1 for n in range(8)}
        outbox.append(
            UsageRecord(
                seq,
                0,
                key,
                TokenCounts(*[2**53 - 1] * 15),
                request_model=name,
                call_id=name,
                response_id=name,
                requests=requests,
                context=context,
                raw=raw,
            )
        )
    calls = 0
    for sealed in outbox.spool().frames:
        (frame,) = decode_records(encode_records([sealed.body]))
        calls += frame.last - frame.since
    assert calls == 1500
    assert outbox.merged > 1000


@given(bounded_records, bounded_records)
def test_frames_have_one_digest_exactly_when_they_say_the_same(
    one: UsageRecord, other: UsageRecord
) -> None:
    first, second = frame_of(one), frame_of(other)
    assert (frame_digest(first) == frame_digest(second)) is (first == second)
    assert frame_digest(decode_frame(encode_frame(first))) == frame_digest(first)


def test_a_digest_stays_what_it_is_in_later_versions() -> None:
    """It is kept with what was applied: another one would make a conflict of each repetition."""
    key = records_key("a")
    counts = TokenCounts(input=7, output=2, calls=1)
    items = (
        UsageRecord(1, 1_790_000_000_000, key, counts, response_id="r-1", duration_ms=0),
        Aggregate(2, 2, 0, key, counts, requests={"web_search": 1}),
    )
    frame = Frame(A, Observer.SDK, 0, 2, counts + counts, items, final=True)
    assert frame_digest(frame) == "99d0de6feb3d8527e71962d4cc8e2b01"


@given(st.integers(0, 2), st.booleans(), st.dictionaries(st.text(max_size=2), st.integers(1, 2)))
def test_aggregates_have_one_digest_exactly_when_they_say_the_same(
    bucket: int, coarse: bool, requests: dict[str, int]
) -> None:
    counts = TokenCounts(input=5, calls=2)
    plain = Aggregate(1, 2, 0, records_key("a"), counts)
    other = replace(plain, bucket=bucket, coarse=coarse, requests=requests)
    first, second = (Frame(A, Observer.SDK, 0, 2, counts, (one,)) for one in (plain, other))
    assert (frame_digest(first) == frame_digest(second)) is (first == second)


@given(bounded_records, st.booleans(), st.booleans())
def test_a_header_says_what_the_frame_says_but_for_its_items(
    record: UsageRecord, final: bool, lost: bool
) -> None:
    frame = replace(frame_of(record), final=final, lost=lost)
    assert decode_frame_header(encode_frame(frame)) == replace(frame, items=())


def test_aggregates_of_one_stretch_may_lie_between_each_other() -> None:
    counts = TokenCounts(input=5, calls=2)
    frame = Frame(
        A,
        Observer.SDK,
        0,
        4,
        counts + counts,
        (
            Aggregate(1, 4, 0, records_key("a"), counts),
            Aggregate(2, 3, 0, records_key("b"), counts, coarse=True),
        ),
    )
    assert decode_frame(encode_frame(frame)) == frame


def records_key(model: str) -> Any:
    return replace(outbox_with(1).spool().frames[0].frame.items[0].key, model=model)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param(lambda d: d.update(v=2), "v", id="another version"),
        pytest.param(lambda d: d.update(instanceId="A" * 32), "instanceId", id="upper case id"),
        pytest.param(lambda d: d.update(observer="legacy"), "observer", id="unknown observer"),
        pytest.param(lambda d: d.update(since=-1), "since", id="negative"),
        pytest.param(lambda d: d.update(since=True), "since", id="true"),
        pytest.param(lambda d: d.update(last=1.0), "last", id="fraction"),
        pytest.param(lambda d: d.update(last=3), "", id="fewer items than calls"),
        pytest.param(lambda d: d.update(since=1), "", id="an item before since"),
        pytest.param(lambda d: d.update(since=9), "", id="since after last"),
        pytest.param(lambda d: d.update(lost=True), "", id="lost with items"),
        pytest.param(lambda d: d["totals"].update(input=19), "", id="items exceed totals"),
        pytest.param(lambda d: d["items"][1].update(seq=1), "", id="a seq twice"),
        pytest.param(lambda d: d["items"][0].pop("at"), "items[0].at", id="no time"),
        pytest.param(
            lambda d: d["items"][0].update(at="2026-11-01T00:00:00"), "items[0].at", id="no zone"
        ),
        pytest.param(lambda d: d["items"][0].update(input="9"), "items[0].input", id="text"),
        pytest.param(lambda d: d["items"][0].update(status="no"), "items[0].status", id="status"),
        pytest.param(
            lambda d: d["items"][0].update(status="unmetered"), "items[0].status", id="with counts"
        ),
        pytest.param(
            lambda d: d["items"][0].update(user="a\u202eb"), "items[0].user", id="direction"
        ),
        pytest.param(
            lambda d: d["items"][0].update(callId="x" * 129), "items[0].callId", id="long id"
        ),
        pytest.param(
            lambda d: d["items"][0].update(labels={str(n): "" for n in range(17)}),
            "items[0].labels",
            id="17 labels",
        ),
        pytest.param(
            lambda d: d["items"].__setitem__(
                0, {"fromSeq": 1, "toSeq": 1, "calls": 2, "bucket": "1970-01-01T00:00:00Z"}
            ),
            "",
            id="more calls than seqs",
        ),
        pytest.param(
            lambda d: d["items"].__setitem__(
                0, {"fromSeq": 1, "toSeq": 1, "calls": 1, "bucket": "1970-01-01T00:01:00Z"}
            ),
            "items[0].bucket",
            id="no bucket",
        ),
    ],
)
def test_what_is_no_frame_is_refused_where_it_is_wrong(
    change: Callable[[dict[str, Any]], None], path: str
) -> None:
    with pytest.raises(WireError) as refused:
        decode_frame(spoiled(change))
    assert refused.value.path == path


def test_one_wrong_frame_refuses_the_body_and_names_itself() -> None:
    good = encode_frame(outbox_with(1).spool().frames[0].frame)
    with pytest.raises(WireError) as refused:
        decode_records(encode_records([good, spoiled(lambda d: d.update(last=5))]))
    assert refused.value.path == "frames[1]"


def test_a_body_has_a_bounded_number_of_frames() -> None:
    good = encode_frame(outbox_with(1).spool().frames[0].frame)
    assert len(decode_records(encode_records([good] * MAX_FRAMES))) == MAX_FRAMES
    with pytest.raises(WireError, match="frames"):
        decode_records(encode_records([good] * (MAX_FRAMES + 1)))
