"""A record made fit to travel: bounded, showable, one call.

Whatever an agent's process put into a record, the receiver's strict decoding must take it: a record
that is refused would block every later one of its instance. So what is detail is cut here, before
the record waits for delivery, and never makes a call go uncounted; the counts have been checked
where they were counted (``ledger``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from types import MappingProxyType

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.names import MAX_NAME_BYTES, showable_name
from agentspec_usage.metering.record import NO_CONTEXT, CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.series import MAX_SERIES, SeriesKey

__all__ = [
    "MAX_LABELS",
    "MAX_LABEL_BYTES",
    "MAX_RAW_BYTES",
    "MAX_REQUEST_KINDS",
    "MAX_REQUEST_KIND_BYTES",
    "MAX_TIME",
    "bounded_record",
]

MAX_LABELS = 16
MAX_LABEL_BYTES = 64
"""Of a label's key, and of its value."""
MAX_REQUEST_KINDS = 8
MAX_REQUEST_KIND_BYTES = 32
MAX_RAW_BYTES = 2048
MAX_TIME = 253_402_300_799_999
"""The last millisecond of the year 9999: later ones have no RFC 3339 form."""


def bounded_record(record: UsageRecord) -> UsageRecord:
    """The record within every bound of the contract; itself where it is."""
    if _is_bounded(record):
        return record
    return UsageRecord(
        record.seq,
        min(max(record.at, 0), MAX_TIME),
        _key(record.key),
        _one_call(record.counts, record.status),
        record.status,
        _name(record.request_model),
        _name(record.call_id),
        _name(record.response_id),
        _requests(record.requests),
        _milliseconds(record.duration_ms),
        _milliseconds(record.ttft_ms),
        _context(record.context),
        record.raw if _fits(record.raw) else "",
    )


def _is_bounded(record: UsageRecord) -> bool:
    """Whether the record is fit as it is, as far as that can be told quickly: asking costs a
    quarter of making it so, and nearly every record is.
    """
    return (
        record.context is NO_CONTEXT
        and not (record.raw or record.requests)
        and 0 <= record.at <= MAX_TIME
        and _is_fit(record.request_model)
        and _is_fit(record.call_id)
        and _is_fit(record.response_id)
        and _milliseconds(record.duration_ms) == record.duration_ms
        and _milliseconds(record.ttft_ms) == record.ttft_ms
        and _one_call(record.counts, record.status) is record.counts
        and ((key := _key(record.key)) is record.key or key == record.key)
    )


def _is_fit(text: str) -> bool:
    return not text or (len(text) <= MAX_NAME_BYTES and text.isascii() and text.isprintable())


def _name(text: str) -> str:
    # Nearly every name is fit as it is; asking costs a tenth of making it so.
    return text if _is_fit(text) else showable_name(text)


def _one_call(counts: TokenCounts, status: CallStatus) -> TokenCounts:
    if status is CallStatus.UNMETERED:
        return _UNMETERED
    if counts.calls == 1 and not counts.unmetered_calls:
        return counts
    return replace(counts, calls=1, unmetered_calls=0)


_UNMETERED = TokenCounts(calls=1, unmetered_calls=1)


@lru_cache(maxsize=MAX_SERIES)
def _key(key: SeriesKey) -> SeriesKey:
    bounded = SeriesKey(
        _name(key.provider),
        _name(key.model),
        _name(key.operation),
        _name(key.service_tier),
        _name(key.region),
        key.batch,
        key.context_class,
    )
    return key if bounded == key else bounded


def _context(context: CallContext) -> CallContext:
    if context is NO_CONTEXT:
        return context
    labels = {
        _cut(name, MAX_LABEL_BYTES): _cut(value, MAX_LABEL_BYTES)
        for name, value in islice(context.labels.items(), MAX_LABELS)
    }
    return CallContext(
        _name(context.user),
        _name(context.session),
        _name(context.run),
        _name(context.parent_run),
        _name(context.team),
        MappingProxyType(labels),
    )


def _cut(text: str, limit: int) -> str:
    return showable_name(text).encode()[:limit].decode(errors="ignore")


def _requests(requests: Mapping[str, int]) -> Mapping[str, int]:
    if not requests:
        return requests
    kept = islice(requests.items(), MAX_REQUEST_KINDS)
    return MappingProxyType(
        {
            _cut(name, MAX_REQUEST_KIND_BYTES): min(max(number, 0), MAX_COUNT)
            for name, number in kept
        }
    )


def _milliseconds(value: int | None) -> int | None:
    return None if value is None else min(max(value, 0), MAX_COUNT)


def _fits(raw: str) -> bool:
    """A provider's object that was cut is none, so an overlong one is left out."""
    return len(raw) <= MAX_RAW_BYTES and len(raw.encode(errors="replace")) <= MAX_RAW_BYTES
