"""Records, counts and snapshots as short JSON lists: what entries and states are made of.

The file is written and read by this program alone and each entry carries a checksum, so the form is
positional and is read without checking a thing twice; ``LAYOUT`` changes when it does. A list whose
shape does not fit is an error of the reader's all the same (``ValueError``, ``TypeError``,
``IndexError``), which ``entries`` and ``state`` turn into one of this package.
"""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Aggregate
from agentspec_usage.metering.pod_calls import Now
from agentspec_usage.metering.record import NO_CONTEXT, CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.series import MAX_SERIES, SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot

__all__ = [
    "LAYOUT",
    "Json",
    "aggregate_of",
    "counts_of",
    "list_of_aggregate",
    "list_of_counts",
    "list_of_key",
    "list_of_record",
    "list_of_snapshot",
    "now_of",
    "record_of",
    "series_key_of",
    "snapshot_of",
]

LAYOUT = 1
"""Which lists these are."""

Json: TypeAlias = Any
"""What the JSON decoder gives; its shape is the encoder's beside."""


_NO_TOKENS = ZERO.as_tuple()[:-2]


def now_of(value: Json) -> Now:
    steady, wall = value
    return Now(steady, wall)


def list_of_counts(counts: TokenCounts) -> Json:
    """The components up to the last that is not 0, and the calls before them."""
    values = counts.as_tuple()[:-2]
    last = next((at for at in range(len(values), 0, -1) if values[at - 1]), 0)
    return [counts.calls, counts.unmetered_calls, *values[:last]]


def counts_of(value: Json) -> TokenCounts:
    calls, unmetered, *rest = value
    return TokenCounts(*[*rest, *_NO_TOKENS[len(rest) :], calls, unmetered])


def list_of_key(key: SeriesKey) -> Json:
    return [
        key.provider,
        key.model,
        key.operation,
        key.service_tier,
        key.region,
        int(key.batch),
        key.context_class,
    ]


def series_key_of(value: Json) -> SeriesKey:
    return _series_key(*value)


@lru_cache(maxsize=MAX_SERIES)
def _series_key(
    provider: str, model: str, operation: str, tier: str, region: str, batch: int, context: int
) -> SeriesKey:
    # One object for the calls of a series: a restart reads thousands of them.
    return SeriesKey(provider, model, operation, tier, region, bool(batch), context)


def list_of_record(record: UsageRecord) -> Json:
    return [
        record.seq,
        record.at,
        list_of_key(record.key),
        list_of_counts(record.counts),
        str(record.status),
        record.request_model,
        record.call_id,
        record.response_id,
        dict(record.requests) or 0,
        record.duration_ms,
        record.ttft_ms,
        _list_of_context(record.context),
        record.raw,
    ]


def record_of(value: Json) -> UsageRecord:
    seq, at, key, counts, status, model, call_id, response_id, requests, took, ttft, who, raw = (
        value
    )
    return UsageRecord(
        seq,
        at,
        series_key_of(key),
        counts_of(counts),
        CallStatus(status),
        model,
        call_id,
        response_id,
        MappingProxyType(requests or {}),
        took,
        ttft,
        _context_of(who),
        raw,
    )


def _list_of_context(context: CallContext) -> Json:
    if context == NO_CONTEXT:
        return 0
    labels = dict(context.labels)
    return [context.user, context.session, context.run, context.parent_run, context.team, labels]


def _context_of(value: Json) -> CallContext:
    if not value:
        return NO_CONTEXT
    user, session, run, parent_run, team, labels = value
    return CallContext(user, session, run, parent_run, team, MappingProxyType(labels))


def list_of_aggregate(aggregate: Aggregate) -> Json:
    return [
        aggregate.from_seq,
        aggregate.to_seq,
        aggregate.bucket,
        list_of_key(aggregate.key),
        list_of_counts(aggregate.counts),
        str(aggregate.status),
        dict(aggregate.requests),
        int(aggregate.coarse),
    ]


def aggregate_of(value: Json) -> Aggregate:
    from_seq, to_seq, bucket, key, counts, status, requests, coarse = value
    return Aggregate(
        from_seq,
        to_seq,
        bucket,
        series_key_of(key),
        counts_of(counts),
        CallStatus(status),
        MappingProxyType(requests),
        bool(coarse),
    )


def list_of_snapshot(snapshot: UsageSnapshot) -> Json:
    """What the ledger needs of another source's snapshot: whose it is, its totals and rows."""
    rows = [[list_of_key(row.key), list_of_counts(row.counts)] for row in snapshot.rows]
    return [snapshot.instance_id, str(snapshot.observer), list_of_counts(snapshot.totals), rows]


def snapshot_of(value: Json) -> UsageSnapshot:
    instance_id, observer, totals, rows = value
    return UsageSnapshot(
        counts_of(totals) if totals else ZERO,
        tuple(SeriesRow(series_key_of(key), counts_of(counts)) for key, counts in rows),
        instance_id=instance_id,
        observer=Observer(observer),
    )
