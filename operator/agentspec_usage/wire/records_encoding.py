"""Encoding frames, and the body that carries them, with the standard library alone: agents import
this.

A frame's bytes are made once and repeated as they are, so a body is put together from frames that
are bytes already. The same bytes identify a frame: whoever received one encodes what it understood
again, and equal digests mean that nothing which counts differs.

Compact JSON in ASCII, zeros and empty texts left out, fields in one order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

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
    """What two copies of a frame have in common exactly when they say the same."""
    return hashlib.blake2b(encode_frame(frame), digest_size=16).hexdigest()


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
