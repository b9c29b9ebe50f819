"""Encoding frames, and the body that carries them, with the standard library alone: agents import
this.

A frame's bytes are made once and repeated as they are, so a body is put together from frames that
are bytes already. What identifies a frame is made of what its receiver understood
(``frame_digest``): equal digests mean that nothing which counts differs.

Compact JSON in ASCII, zeros and empty texts left out, fields in one order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from agentspec_usage.metering.frame import Aggregate, Frame, Item
from agentspec_usage.metering.record import CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.wire.usage_encoding import encode_counts

__all__ = [
    "FRAME_VERSION",
    "MAX_RECORDS_BODY",
    "encode_frame",
    "encode_records",
    "frame_digest",
]

FRAME_VERSION = 1

MAX_RECORDS_BODY = 1024 * 1024
"""Bytes of a body with frames, inflated."""


def encode_frame(frame: Frame) -> bytes:
    """The frame as it travels."""
    fields: dict[str, object] = {
        "v": FRAME_VERSION,
        "instanceId": frame.instance_id,
        "observer": str(frame.observer),
        "since": frame.since,
        "last": frame.last,
    }
    if frame.final:
        fields["final"] = True
    if frame.lost:
        fields["lost"] = True
    fields["totals"] = encode_counts(frame.totals)
    fields["items"] = [_item(item) for item in frame.items]
    return _dump(fields)


def encode_records(frames: Iterable[bytes]) -> bytes:
    """The body of ``POST /usage/records`` with frames that are encoded already."""
    return b'{"frames":[' + b",".join(frames) + b"]}"


def frame_digest(frame: Frame) -> str:
    """What two copies of a frame have in common exactly when they say the same.

    It is kept with what was applied, so it stays what it is in a later version of this program: a
    field that comes to records is put at the end of their values, and is "" where it is absent.
    """
    said = (
        *(FRAME_VERSION, frame.instance_id, str(frame.observer), frame.since, frame.last),
        *(frame.final, frame.lost, *frame.totals.as_tuple()),
        [_values(item) for item in frame.items],
    )
    # The text of a list of numbers, texts and None says all of it, in a quarter of JSON's time.
    return hashlib.blake2b(repr(said).encode(), digest_size=16).hexdigest()


def _values(item: Item) -> list[object]:
    """All that an item says, but for absent texts at the end."""
    key = item.key
    values = [
        *(key.provider, key.model, key.operation, key.service_tier, key.region),
        *(key.batch, key.context_class, *item.counts.as_tuple(), str(item.status)),
    ]
    if isinstance(item, Aggregate):
        values += (item.from_seq, item.to_seq, item.bucket, item.coarse, _pairs(item.requests))
    else:
        context = item.context
        values += (
            *(item.seq, item.at, item.duration_ms, item.ttft_ms, _pairs(item.requests)),
            *(item.response_id, item.call_id, item.request_model),
            *(context.session, context.user, context.run, context.parent_run, context.team),
            *(_pairs(context.labels), item.raw),
        )
    while values[-1] == "":
        values.pop()
    return values


def _pairs(values: Mapping[str, int] | Mapping[str, str]) -> object:
    return sorted(values.items()) if values else ""


def _item(item: Item) -> dict[str, object]:
    return _aggregate(item) if isinstance(item, Aggregate) else _record(item)


def _record(record: UsageRecord) -> dict[str, object]:
    counts = encode_counts(record.counts)
    counts.pop("calls", None)
    counts.pop("unmeteredCalls", None)
    return {
        "seq": record.seq,
        "at": to_rfc3339(record.at),
        **_present(callId=record.call_id, responseId=record.response_id),
        **_present(requestModel=record.request_model),
        **_key(record.key),
        **counts,
        **_present(requests=dict(record.requests)),
        "status": str(record.status),
        **{
            name: value
            for name, value in (("durationMs", record.duration_ms), ("ttftMs", record.ttft_ms))
            if value is not None
        },
        **_context(record.context),
        **_present(raw=record.raw),
    }


def _aggregate(aggregate: Aggregate) -> dict[str, object]:
    return {
        "fromSeq": aggregate.from_seq,
        "toSeq": aggregate.to_seq,
        "bucket": to_rfc3339(aggregate.bucket),
        **_key(aggregate.key),
        **encode_counts(aggregate.counts),
        **_present(requests=dict(aggregate.requests), coarse=aggregate.coarse),
        **_present(status="" if aggregate.status is CallStatus.OK else str(aggregate.status)),
    }


def _key(key: SeriesKey) -> dict[str, object]:
    return {
        **_present(provider=key.provider, responseModel=key.model),
        "operation": key.operation,
        **_present(
            serviceTier=key.service_tier,
            region=key.region,
            batch=key.batch,
            contextClass=key.context_class,
        ),
    }


def _context(context: CallContext) -> dict[str, object]:
    return _present(
        user=context.user,
        session=context.session,
        run=context.run,
        parentRun=context.parent_run,
        team=context.team,
        labels=dict(context.labels),
    )


def _present(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value}


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
