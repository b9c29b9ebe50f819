"""What is written to the ledger's file is what is read from it, whatever stands in a record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import Aggregate, Frame, SealedFrame
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.pod_ledger import (
    CallDropped,
    CallEnded,
    CallOpened,
    FrameCame,
    InstanceBegan,
    InstanceEnded,
    TimePassed,
    TotalsSeen,
)
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.sidecar.ledger.entries import (
    Acknowledged,
    Began,
    CallGivenUp,
    CallPending,
    EndedOnce,
    Entry,
    Happened,
    LedgerFileError,
    Opened,
    Sealed,
    decode_entry,
    encode_entry,
)
from agentspec_usage.sidecar.ledger.values import (
    aggregate_of,
    counts_of,
    list_of_aggregate,
    list_of_counts,
)
from agentspec_usage.wire.frame_header import decode_frame_header
from agentspec_usage.wire.records_encoding import encode_frame, frame_digest
from tests.unit.metering.readings import A, snapshot
from tests.unit.metering.records import bounded_records, record

NOW = Now(17, 1_790_000_000_000)
KEY = SeriesKey("openai", "gpt\n\\ü", "chat", "flex", "eu", True, 32000)
FRAME = Frame(A, Observer.SDK, 0, 1, record(1).counts, (record(1),))


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(Happened(CallOpened("k", "c"), NOW), id="opened"),
        pytest.param(Happened(CallDropped("k"), NOW), id="dropped"),
        pytest.param(Happened(FrameCame(FRAME, frame_digest(FRAME)), NOW), id="frame"),
        pytest.param(Happened(TimePassed(), NOW), id="time"),
        pytest.param(Happened(InstanceEnded(), NOW), id="instance ended"),
        pytest.param(Happened(InstanceBegan(), NOW), id="instance began"),
        pytest.param(Opened("k", "", KEY, NOW), id="a call with its series"),
        pytest.param(Began(A, NOW, forwarded=True), id="an instance"),
        pytest.param(CallPending("k", ("openai", "resp_1"), NOW), id="pending"),
        pytest.param(CallGivenUp(("openai", "resp_1"), record(0), NOW), id="given up"),
        pytest.param(EndedOnce("k", record(0), NOW), id="ended once"),
        pytest.param(Acknowledged(A, 7, final=True), id="acknowledged"),
    ],
)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    body = encode_entry(entry)
    assert b"\n" not in body
    assert decode_entry(body) == entry


@given(bounded_records)
def test_a_record_is_read_as_it_was_written(written: UsageRecord) -> None:
    entry = Happened(CallEnded("k", written), NOW)
    assert decode_entry(encode_entry(entry)) == entry


def test_of_a_sealed_frame_the_bytes_are_kept() -> None:
    body = encode_frame(FRAME)
    kept = decode_entry(encode_entry(Sealed(SealedFrame(FRAME, body))))
    assert kept == Sealed(SealedFrame(decode_frame_header(body), body))


def test_of_another_sources_totals_the_instance_and_the_rows_are_kept() -> None:
    shown = snapshot(A, {"gpt": 3, "mini": 4})
    kept = decode_entry(encode_entry(Happened(TotalsSeen(shown), NOW)))
    assert kept == Happened(TotalsSeen(shown), NOW)


@given(st.builds(TokenCounts, *[st.integers(0, 3) for _ in range(15)]))
def test_counts_are_read_as_they_were_written(counts: TokenCounts) -> None:
    assert counts_of(list_of_counts(counts)) == counts


def test_an_aggregate_is_read_as_it_was_written() -> None:
    merged = Aggregate(
        3, 9, 900_000, KEY, TokenCounts(output=2, calls=4), CallStatus.ABORTED, {"web": 1}, True
    )
    assert aggregate_of(list_of_aggregate(merged)) == merged


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no list"),
        pytest.param(b'["new kind",1,2]', id="a kind that is not known"),
        pytest.param(b'["end","k",[1,2],3,4]', id="a record of another layout"),
        pytest.param(b'["frame","{}","d",3,4]', id="a frame that is none"),
        pytest.param(b'["sealed"]{"v":9}', id="a sealed frame of another version"),
    ],
)
def test_what_is_no_entry_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(LedgerFileError, match="expected one of this program's"):
        decode_entry(body)
