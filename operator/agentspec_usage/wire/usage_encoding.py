"""Encoding a usage snapshot, with the standard library alone: agents import this.

The body is bounded. Past the bound the rows of the least-used series are left out; ``totals``,
``totalTokens`` and ``totalCalls`` stay whole, so a reader loses names and no tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageSnapshot
from agentspec_usage.runtime.clock import to_rfc3339

__all__ = ["MAX_BODY", "encode_counts", "encode_usage"]

MAX_BODY = 256 * 1024


def encode_usage(
    snapshots: Sequence[UsageSnapshot],
    *,
    max_bytes: int = MAX_BODY,
    extra: Mapping[str, str | int] | None = None,
) -> bytes:
    """The body that says ``snapshots``, in at most ``max_bytes``.

    One snapshot is the body itself; several processes' are listed as ``instances`` under their sum.
    ``extra`` adds fields to the top level (a sidecar's sampleSize and source).
    """
    shown = snapshots if len(snapshots) == 1 else [_sum_of(snapshots), *snapshots]
    rows = [
        (position, row, _dump(_row(row)))
        for position, snapshot in enumerate(shown)
        for row in snapshot.rows
    ]
    kept: list[list[str]] = [[] for _ in shown]
    left = max_bytes - len(_body(shown, kept, extra))
    chosen: set[int] = set()
    by_use = sorted(
        range(len(rows)),
        key=lambda index: (rows[index][1].counts.total, rows[index][1].counts.calls),
        reverse=True,
    )
    for index in by_use:
        size = len(rows[index][2]) + 1
        if size <= left:
            left -= size
            chosen.add(index)
    for index, (position, _, text) in enumerate(rows):
        if index in chosen:
            kept[position].append(text)
    return _body(shown, kept, extra).encode("ascii")


def _body(
    shown: Sequence[UsageSnapshot],
    rows: Sequence[Sequence[str]],
    extra: Mapping[str, str | int] | None,
) -> str:
    """The body with rows that are encoded already."""
    top, *entries = [
        _object(_fields(snapshot), models=texts)
        for snapshot, texts in zip(shown, rows, strict=True)
    ]
    head = top[:-1]
    if entries:
        head += f',"instances":[{",".join(entries)}]'
    if extra:
        head += "," + _dump(dict(extra))[1:-1]
    return head + "}"


def _object(fields: Mapping[str, object], models: Sequence[str]) -> str:
    return f'{_dump(fields)[:-1]},"models":[{",".join(models)}]}}'


def _fields(snapshot: UsageSnapshot) -> dict[str, object]:
    totals = snapshot.totals
    fields: dict[str, object] = {}
    if snapshot.window_started_at is not None:
        fields["windowStartedAt"] = to_rfc3339(snapshot.window_started_at)
    fields["totalTokens"] = totals.total
    fields["totalCalls"] = totals.calls
    if snapshot.instance_id is not None:
        fields["instanceId"] = snapshot.instance_id
        fields["observer"] = str(snapshot.observer)
    optional: dict[str, object | None] = {
        "seq": snapshot.seq,
        "observedAt": (
            to_rfc3339(snapshot.observed_at) if snapshot.observed_at is not None else None
        ),
        "final": snapshot.final or None,
        "via": snapshot.via,
        "unmeteredCalls": totals.unmetered_calls or None,
        "invalidCalls": snapshot.invalid_calls or None,
        "upperTokens": snapshot.upper_tokens,
    }
    fields.update({name: value for name, value in optional.items() if value is not None})
    fields["totals"] = encode_counts(totals)
    return fields


def encode_counts(counts: TokenCounts) -> dict[str, object]:
    """The count vector as records and frames write it; zeros are left out."""
    written = _cache_write(counts)
    fields: dict[str, object] = {
        "input": counts.input,
        "output": counts.output,
        "cacheRead": counts.cache_read,
        "cacheWrite": written,
        "reasoning": counts.reasoning,
        "audioIn": counts.audio_in,
        "audioOut": counts.audio_out,
        "imageIn": counts.image_in,
        "imageOut": counts.image_out,
        "calls": counts.calls,
        "unmeteredCalls": counts.unmetered_calls,
    }
    return {name: value for name, value in fields.items() if value}


def _row(row: SeriesRow) -> dict[str, object]:
    key, counts = row.key, row.counts
    fields: dict[str, object] = {
        "modelId": f"{key.provider}/{key.model}" if key.provider else key.model,
        "promptTokens": counts.input,
        "completionTokens": counts.output,
        "totalTokens": counts.total,
        "callCount": counts.calls,
        "provider": key.provider,
        "model": key.model,
    }
    optional: dict[str, object] = {
        "serviceTier": key.service_tier,
        "region": key.region,
        "batch": key.batch,
        "contextClass": key.context_class,
        "cacheReadTokens": counts.cache_read,
        "cacheWriteTokens": _cache_write(counts),
        "reasoningTokens": counts.reasoning,
        "audioInputTokens": counts.audio_in,
        "audioOutputTokens": counts.audio_out,
        "imageInputTokens": counts.image_in,
        "imageOutputTokens": counts.image_out,
        "unmeteredCalls": counts.unmetered_calls,
    }
    fields.update({name: value for name, value in optional.items() if value})
    if key.operation != SeriesKey().operation:
        fields["operation"] = key.operation
    return fields


def _cache_write(counts: TokenCounts) -> dict[str, int]:
    written = {
        "5m": counts.cache_write_5m,
        "30m": counts.cache_write_30m,
        "1h": counts.cache_write_1h,
        "12h": counts.cache_write_12h,
        "unspecified": counts.cache_write_unspecified,
    }
    return {name: value for name, value in written.items() if value}


def _sum_of(snapshots: Sequence[UsageSnapshot]) -> UsageSnapshot:
    """What the port as a whole says to a reader that knows nothing of instances."""
    series: dict[SeriesKey, TokenCounts] = {}
    for snapshot in snapshots:
        for row in snapshot.rows:
            known = series.get(row.key)
            series[row.key] = row.counts if known is None else known + row.counts
    starts = [s.window_started_at for s in snapshots if s.window_started_at is not None]
    return UsageSnapshot(
        totals=sum_counts(snapshot.totals for snapshot in snapshots),
        rows=tuple(SeriesRow(key, counts) for key, counts in series.items()),
        window_started_at=min(starts, default=None),
        invalid_calls=sum(snapshot.invalid_calls for snapshot in snapshots),
    )


def _dump(value: object) -> str:
    # ASCII: what was counted is its size in bytes, and half a surrogate pair cannot fail.
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
