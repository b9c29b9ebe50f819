"""Decoding frames: what agents and sidecars send to become durable.

A frame is taken whole or refused whole: one wrong item makes the frame not what it says it is, and
applying the rest would break the one number that guards against counting twice. Names are checked
as strictly as counts, since a frame becomes money and its names become rows; the sender has cut
them to these bounds (``metering.record_bounds``).

``decode_records`` reads the body of ``POST /usage/records``; ``decode_frame`` one frame, as a spool
keeps it.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, ValidationError
from pydantic_core import PydanticCustomError

from agentspec_usage.errors import WireError
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import (
    BUCKET_MS,
    MAX_FRAME_ITEMS,
    Aggregate,
    Frame,
    Item,
    broken_law,
)
from agentspec_usage.metering.names import MAX_NAME_BYTES, is_showable
from agentspec_usage.metering.record import NO_CONTEXT, CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.record_bounds import (
    MAX_LABEL_BYTES,
    MAX_LABELS,
    MAX_RAW_BYTES,
    MAX_REQUEST_KIND_BYTES,
    MAX_REQUEST_KINDS,
)
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.records_encoding import MAX_RECORDS_BODY
from agentspec_usage.wire.shapes import Count, InstanceId, Shape, Time, Totals, wire_error

__all__ = ["MAX_FRAMES", "RecordsBody", "decode_frame", "decode_records"]

MAX_FRAMES = 64
"""Frames of one body: one an instance, and as many instances as may share a port."""


def decode_records(body: bytes) -> tuple[Frame, ...]:
    """The frames in ``body``. Raises ``WireError``, which names the field and the expectation."""
    document = strict_json.loads(body, max_bytes=MAX_RECORDS_BODY)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        frames = RecordsBody.model_validate(document).frames
    except ValidationError as error:
        raise _named(error) from None
    return tuple(frame.frame(f"frames[{position}]") for position, frame in enumerate(frames))


def decode_frame(body: bytes) -> Frame:
    """One frame. Raises ``WireError``."""
    document = strict_json.loads(body, max_bytes=MAX_RECORDS_BODY)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        return FrameBody.model_validate(document).frame("")
    except ValidationError as error:
        raise _named(error) from None


def _named(error: ValidationError) -> WireError:
    """Where the sender wrote it: the kind of an item is ours to tell, and in no path of theirs."""
    found = wire_error(error)
    path = found.path.replace("].record", "]").replace("].aggregate", "]")
    return WireError(path, found.expected)


def _showable_within(limit: int) -> AfterValidator:
    def check(text: str) -> str:
        if not is_showable(text) or len(text.encode()) > limit:
            raise PydanticCustomError(
                "showable", f"Input should be printable characters, at most {limit} bytes"
            )
        return text

    return AfterValidator(check)


def _raw(text: str) -> str:
    if len(text.encode(errors="replace")) > MAX_RAW_BYTES:
        raise PydanticCustomError("raw", f"Input should be at most {MAX_RAW_BYTES} bytes")
    return text


def _bucket(moment: int) -> int:
    if moment % BUCKET_MS:
        raise PydanticCustomError("bucket", "Input should be a multiple of 15 minutes")
    return moment


Name = Annotated[str, _showable_within(MAX_NAME_BYTES)]
Label = Annotated[str, _showable_within(MAX_LABEL_BYTES)]
RequestKind = Annotated[str, _showable_within(MAX_REQUEST_KIND_BYTES)]
Requests = Annotated[dict[RequestKind, Count], Field(max_length=MAX_REQUEST_KINDS)]
Labels = Annotated[dict[Label, Label], Field(max_length=MAX_LABELS)]


@lru_cache(maxsize=4096)
def _series_key(
    provider: str,
    model: str,
    operation: str,
    service_tier: str,
    region: str,
    batch: bool,
    context_class: int,
) -> SeriesKey:
    """One key for all calls of a series: the same object is found again at once."""
    return SeriesKey(provider, model, operation, service_tier, region, batch, context_class)


_UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


class _Priced(Totals):
    """What a record and an aggregate have in common: the price context and the counts."""

    provider: Name = ""
    response_model: Name = ""
    operation: Name = "chat"
    service_tier: Name = ""
    region: Name = ""
    batch: bool = False
    context_class: Count = 0
    requests: Requests = Field(default_factory=dict)

    def key(self) -> SeriesKey:
        return _series_key(
            self.provider,
            self.response_model,
            self.operation,
            self.service_tier,
            self.region,
            self.batch,
            self.context_class,
        )


class _Record(_Priced):
    seq: Count
    at: Time
    call_id: Name = ""
    response_id: Name = ""
    request_model: Name = ""
    status: Literal["ok", "aborted", "unmetered"] = "ok"
    duration_ms: Count | None = None
    ttft_ms: Count | None = None
    user: Name = ""
    session: Name = ""
    run: Name = ""
    parent_run: Name = ""
    team: Name = ""
    labels: Labels = Field(default_factory=dict)
    raw: Annotated[str, AfterValidator(_raw)] = ""

    def item(self, path: str) -> Item:
        status = CallStatus(self.status)
        unmetered = status is CallStatus.UNMETERED
        counts = self.counts_of(1, int(unmetered))
        if unmetered and counts != _UNMETERED:
            raise WireError(f"{path}.status", "an unmetered call without counts")
        return UsageRecord(
            self.seq,
            self.at,
            self.key(),
            counts,
            status,
            self.request_model,
            self.call_id,
            self.response_id,
            MappingProxyType(self.requests),
            self.duration_ms,
            self.ttft_ms,
            self._context(),
            self.raw,
        )

    def _context(self) -> CallContext:
        texts = (self.user, self.session, self.run, self.parent_run, self.team)
        if not any(texts) and not self.labels:
            return NO_CONTEXT
        return CallContext(*texts, MappingProxyType(self.labels))


class _Aggregate(_Priced):
    from_seq: Count
    to_seq: Count
    bucket: Annotated[Time, AfterValidator(_bucket)]
    calls: Count
    coarse: bool = False
    status: Literal["ok", "aborted"] = "ok"

    def item(self, path: str) -> Item:
        counts = self.counts()
        if counts.unmetered_calls > counts.calls:
            raise WireError(f"{path}.unmeteredCalls", "at most as many as calls")
        return Aggregate(
            self.from_seq,
            self.to_seq,
            self.bucket,
            self.key(),
            counts,
            CallStatus(self.status),
            MappingProxyType(self.requests),
            self.coarse,
        )


def _kind_of(item: object) -> str:
    return "aggregate" if isinstance(item, dict) and "fromSeq" in item else "record"


AnyItem = Annotated[
    Annotated[_Record, Tag("record")] | Annotated[_Aggregate, Tag("aggregate")],
    Discriminator(_kind_of),
]


class FrameBody(Shape):
    """One frame."""

    v: Literal[1]
    instance_id: InstanceId
    observer: Literal["sdk", "sidecar", "events"]
    since: Count
    last: Count
    totals: Totals
    items: Annotated[list[AnyItem], Field(max_length=MAX_FRAME_ITEMS)]
    final: bool = False
    lost: bool = False

    def frame(self, path: str) -> Frame:
        prefix = f"{path}." if path else ""
        frame = Frame(
            self.instance_id,
            Observer(self.observer),
            self.since,
            self.last,
            self.totals.counts(),
            tuple(
                item.item(f"{prefix}items[{position}]") for position, item in enumerate(self.items)
            ),
            self.final,
            self.lost,
        )
        broken = broken_law(frame)
        if broken is not None:
            raise WireError(path, broken)
        return frame


class RecordsBody(Shape):
    """The body of ``POST /usage/records``."""

    frames: Annotated[list[FrameBody], Field(max_length=MAX_FRAMES)]
