"""Records and frames to deliver, by hand and at random."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from hypothesis import strategies as st

from agentspec_usage.metering.buffer import BufferLimits
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.metering.record import NO_CONTEXT, CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.record_bounds import bounded_record
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.wire.records_encoding import encode_frame
from tests.unit.metering.readings import A

START = 1_700_000_000_000

SMALL = BufferLimits(records=4, aggregates=3, frame_items=3)


def record(seq: int, tokens: int = 10, *, at: int = START, model: str = "gpt") -> UsageRecord:
    return UsageRecord(seq, at, SeriesKey("openai", model), TokenCounts(input=tokens, calls=1))


def outbox_with(calls: int, limits: BufferLimits | None = None) -> Outbox:
    """An outbox of ``calls`` calls of 10 tokens each."""
    outbox = Outbox(A, Observer.SDK, encode_frame, limits)
    for seq in range(1, calls + 1):
        outbox.append(record(seq))
    return outbox


names = st.text(max_size=200) | st.sampled_from(["", "gpt-4o", "claude-opus", "ü" * 90])
amounts = st.integers(0, 1000) | st.integers(0, MAX_COUNT)

contexts = st.just(NO_CONTEXT) | st.builds(
    CallContext,
    names,
    names,
    names,
    names,
    names,
    st.dictionaries(names, names, max_size=20).map(MappingProxyType),
)


@st.composite
def records(draw: st.DrawFn, seq: int = 1) -> UsageRecord:
    """What a process might hand in, names and sizes unchecked."""
    return UsageRecord(
        seq=seq,
        at=draw(st.integers(-(10**15), 10**16)),
        key=SeriesKey(
            draw(names),
            draw(names),
            draw(names),
            draw(names),
            draw(names),
            draw(st.booleans()),
            draw(st.sampled_from([0, 32000, 200000])),
        ),
        counts=replace(TokenCounts(*[draw(amounts) for _ in range(15)]), calls=1),
        status=draw(st.sampled_from(CallStatus)),
        request_model=draw(names),
        call_id=draw(names),
        response_id=draw(names),
        requests=draw(st.dictionaries(names, amounts, max_size=10).map(MappingProxyType)),
        duration_ms=draw(st.none() | amounts),
        ttft_ms=draw(st.none() | amounts),
        context=draw(contexts),
        raw=draw(st.text(max_size=3000)),
    )


bounded_records = records().map(bounded_record)
