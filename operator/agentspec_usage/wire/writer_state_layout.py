"""The layout of a checkpoint in bytes: tables of pods and models, then sections, column by column.

Left out is what a reader does without: when and at which seq an instance was seen (one time, the
latest, stands for all), and models that used nothing. An instance that used a single model, which
is the common case, writes that model's number and no second copy of its totals.

``MODEL_*`` and the order of ``_REASONS`` and ``_SOURCES`` are the format: append, never reorder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentspec_usage.errors import WireError
from agentspec_usage.metering.completeness import Reason
from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.meter import Meter, Span
from agentspec_usage.metering.models import MAX_MODELS, ModelKey
from agentspec_usage.metering.state import (
    MAX_EPOCH,
    MAX_LEGACY,
    MAX_LIVE,
    MAX_SOURCES,
    MAX_TOMBSTONES,
    NO_COST,
    AccruedCost,
    Checkpoint,
    LegacyKey,
    LiveInstance,
    PodIdentity,
    Sighting,
    Source,
    Tombstone,
)
from agentspec_usage.metering.tally import Tally
from agentspec_usage.metering.windows import MAX_OPEN_WINDOWS, DrainedWindows
from agentspec_usage.wire.binary import BinaryReader, BinaryWriter

__all__ = ["is_one_model", "read_checkpoint", "write_checkpoint"]

_REASONS: tuple[Reason, ...] = (
    Reason.AGENT_RESTARTED,
    Reason.CLOCK_SKEW,
    Reason.COARSE_TIME,
    Reason.COUNTER_REGRESSION,
    Reason.INVALID_USAGE,
    Reason.LEGACY_SOURCE,
    Reason.OBSERVERS_UNJOINED,
    Reason.OVERLAPPING,
    Reason.POD_EXITED_UNSCRAPED,
    Reason.PODS_MISSING,
    Reason.RING_OVERFLOW,
    Reason.SATURATED,
    Reason.SCRAPE_FAILED,
    Reason.STATUS_TAMPERED,
    Reason.STORE_ROLLED_BACK,
    Reason.TRUNCATED,
    Reason.UNMETERED_CALLS,
    Reason.UNPRICED,
)
_SOURCES: tuple[Source | None, ...] = (None, Source.AGENT, Source.SIDECAR)

_MAX_TEXT = 1024
_MAX_CURRENCY = 8
_PICO = 10**12
"""A cost is written as whole and fraction: in one number it would end at 9,007 of a currency."""
_MAX_PODS = MAX_LIVE + MAX_TOMBSTONES + MAX_LEGACY + MAX_SOURCES
_MAX_MODELS = MAX_MODELS * (1 + MAX_LIVE)
_FINAL, _WHOLE, _ONE_MODEL = 1, 2, 4


def is_one_model(meter: Meter) -> bool:
    """Whether the meter's one model tells nothing beyond the totals but its name."""
    if len(meter.models) != 1:
        return False
    (span,) = meter.models.values()
    return span == meter.totals


def write_checkpoint(cp: Checkpoint) -> bytes:
    """The bytes of what ``cp`` must not forget."""
    out = BinaryWriter()
    out.text(cp.epoch)
    out.number(sum(1 << _REASONS.index(reason) for reason in cp.reasons))
    out.optional(cp.started_at)
    out.optional(cp.lost_until)
    out.number(cp.retired_excess)
    out.optional(max((seen.at for seen in cp.sightings.values()), default=None))

    pods = _PodTable(cp)
    pods.write(out, cp)
    models = _ModelTable(cp)
    models.write(out)

    _write_tallies(out, [cp.retired], models)
    _write_live(out, cp, pods, models)
    _write_tombstones(out, cp, pods)
    _write_legacy(out, cp, pods, models)
    _write_cost(out, cp.cost)
    return bytes(out)


def read_checkpoint(data: bytes, *, has_cost: bool = True) -> Checkpoint:
    """The checkpoint that ``write_checkpoint`` wrote. Raises ``WireError``.

    ``has_cost`` is False for a layout from before there was one.
    """
    reader = BinaryReader(data)
    epoch = reader.text(MAX_EPOCH)
    bits = reader.number(2 ** len(_REASONS) - 1)
    started_at = reader.optional()
    lost_until = reader.optional()
    retired_excess = reader.number()
    seen_at = reader.optional()
    count = reader.length(_MAX_PODS)
    uids = reader.ids(count, _MAX_TEXT)
    created = reader.numbers(count)
    codes = reader.numbers(count, len(_SOURCES) - 1)
    pods = [PodIdentity(uid, at) for uid, at in zip(uids, created, strict=True)]
    count = reader.length(_MAX_MODELS)
    models = [ModelKey(reader.text(_MAX_TEXT), reader.text(_MAX_TEXT)) for _ in range(count)]
    (retired,) = _read_tallies(reader, 1, models)
    live = _read_live(reader, pods, models)
    tombstones = _read_tombstones(reader, pods)
    closed = {
        LegacyKey(pod.uid, container): pod for pod, container in _read_legacy_keys(reader, pods)
    }
    legacy = _read_legacy(reader, pods, models)
    cost = _read_cost(reader) if has_cost else NO_COST
    reader.end()
    seen = seen_at or 0
    return Checkpoint(
        epoch=epoch,
        reasons=frozenset(reason for at, reason in enumerate(_REASONS) if bits >> at & 1),
        started_at=started_at,
        retired=retired,
        retired_excess=retired_excess,
        live=live,
        legacy=legacy,
        tombstones=tombstones,
        closed=closed,
        sources={
            pod.uid: source
            for pod, code in zip(pods, codes, strict=True)
            if (source := _SOURCES[code]) is not None
        },
        lost_until=lost_until,
        cost=cost,
        forgotten_until=lost_until,
        sightings={instance_id: Sighting(seen, None) for instance_id in live},
        legacy_seen=dict.fromkeys(legacy, seen),
    )


class _PodTable:
    """Each pod once. A pod of which only the choice of source is known has no creation time."""

    def __init__(self, cp: Checkpoint) -> None:
        self._created: dict[str, int] = dict.fromkeys(cp.sources, 0)
        self._created.update(
            PodIdentity(key.pod_uid, windows.created_at) for key, windows in cp.legacy.items()
        )
        self._created.update(cp.closed.values())
        self._created.update(tombstone.pod for tombstone in cp.tombstones.values())
        self._created.update(instance.pod for instance in cp.live.values())
        self._index = {uid: index for index, uid in enumerate(self._created)}

    def index(self, uid: str) -> int:
        return self._index[uid]

    def write(self, out: BinaryWriter, cp: Checkpoint) -> None:
        out.number(len(self._created))
        out.ids(list(self._created))
        out.numbers(list(self._created.values()))
        out.numbers([_SOURCES.index(cp.sources.get(uid)) for uid in self._created])


class _ModelTable:
    """Each model that used something, once."""

    def __init__(self, cp: Checkpoint) -> None:
        keys = dict.fromkeys(cp.retired.models)
        for windows in cp.legacy.values():
            keys.update(dict.fromkeys(windows.retired.models))
        for meter in _meters(cp):
            keys.update(dict.fromkeys(meter.used().models))
        self._index = {key: index for index, key in enumerate(keys)}

    def index(self, key: ModelKey) -> int:
        return self._index[key]

    def write(self, out: BinaryWriter) -> None:
        out.number(len(self._index))
        for key in self._index:
            out.text(key.provider)
            out.text(key.model)


def _meters(cp: Checkpoint) -> Iterable[Meter]:
    for instance in cp.live.values():
        yield instance.meter
    for windows in cp.legacy.values():
        yield from windows.open.values()


def _write_tallies(out: BinaryWriter, tallies: Sequence[Tally], models: _ModelTable) -> None:
    out.vectors([tally.totals for tally in tallies])
    out.numbers([len(tally.models) for tally in tallies])
    out.numbers([models.index(key) for tally in tallies for key in tally.models])
    out.vectors([counts for tally in tallies for counts in tally.models.values()])


def _read_tallies(reader: BinaryReader, count: int, models: Sequence[ModelKey]) -> list[Tally]:
    totals = reader.vectors(count)
    sizes = reader.numbers(count, MAX_MODELS)
    keys = _read_models(reader, sum(sizes), models)
    cells = list(zip(keys, reader.vectors(len(keys)), strict=True))
    tallies = []
    for whole, size in zip(totals, sizes, strict=True):
        tallies.append(Tally(whole, dict(cells[:size])))
        cells = cells[size:]
    return tallies


def _write_meters(out: BinaryWriter, meters: Sequence[Meter], models: _ModelTable) -> None:
    """Totals, then models; the spans of a meter with one model are its totals'."""
    cells = [{key: span for key, span in meter.models.items() if span.used} for meter in meters]
    flags = [
        (_WHOLE if meter.whole else 0) | (_ONE_MODEL if is_one_model(meter) and cell else 0)
        for meter, cell in zip(meters, cells, strict=True)
    ]
    out.numbers(flags)
    out.vectors([meter.totals.last for meter in meters])
    out.vectors([meter.totals.base for meter in meters])
    out.numbers([len(cell) for cell in cells])
    out.numbers([models.index(key) for cell in cells for key in cell])
    spans = [
        span
        for cell, flag in zip(cells, flags, strict=True)
        if not flag & _ONE_MODEL
        for span in cell.values()
    ]
    out.vectors([span.last for span in spans])
    out.vectors([span.base for span in spans])


def _read_meters(reader: BinaryReader, count: int, models: Sequence[ModelKey]) -> list[Meter]:
    flags = reader.numbers(count, _FINAL | _WHOLE | _ONE_MODEL)
    totals = _read_spans(reader, count)
    sizes = reader.numbers(count, MAX_MODELS)
    keys = iter(_read_models(reader, sum(sizes), models))
    apart = sum(size for flag, size in zip(flags, sizes, strict=True) if not flag & _ONE_MODEL)
    spans = iter(_read_spans(reader, apart))
    meters = []
    for flag, whole, size in zip(flags, totals, sizes, strict=True):
        cells = {next(keys): whole if flag & _ONE_MODEL else next(spans) for _ in range(size)}
        meters.append(Meter(whole, cells, bool(flag & _WHOLE)))
    return meters


def _read_spans(reader: BinaryReader, count: int) -> list[Span]:
    last = reader.vectors(count)
    base = reader.vectors(count)
    return [Span(begun, seen) for begun, seen in zip(base, last, strict=True)]


def _read_models(reader: BinaryReader, count: int, models: Sequence[ModelKey]) -> list[ModelKey]:
    return [models[index] for index in _read_indexes(reader, count, len(models))]


def _read_indexes(reader: BinaryReader, count: int, size: int) -> list[int]:
    if count and not size:
        raise WireError("index", "a table that is not empty")
    return reader.numbers(count, size - 1) if count else []


def _write_live(out: BinaryWriter, cp: Checkpoint, pods: _PodTable, models: _ModelTable) -> None:
    live = list(cp.live.values())
    out.number(len(live))
    out.ids(list(cp.live))
    out.numbers([pods.index(instance.pod.uid) for instance in live])
    out.numbers([_FINAL if instance.final else 0 for instance in live])
    out.numbers([instance.excess for instance in live])
    _write_meters(out, [instance.meter for instance in live], models)


def _read_live(
    reader: BinaryReader, pods: Sequence[PodIdentity], models: Sequence[ModelKey]
) -> dict[str, LiveInstance]:
    count = reader.length(MAX_LIVE)
    ids = reader.ids(count, _MAX_TEXT)
    homes = _read_indexes(reader, count, len(pods))
    final = reader.numbers(count, _FINAL)
    excess = reader.numbers(count)
    meters = _read_meters(reader, count, models)
    return {
        ids[at]: LiveInstance(
            pods[homes[at]],
            meters[at],
            bool(final[at]),
            _upper(meters[at].totals.last, excess[at]),
        )
        for at in range(count)
    }


def _upper(last: TokenCounts, excess: int) -> int:
    return last.total + excess if excess else 0


def _write_tombstones(out: BinaryWriter, cp: Checkpoint, pods: _PodTable) -> None:
    tombstones = list(cp.tombstones.values())
    out.number(len(tombstones))
    out.ids(list(cp.tombstones))
    out.numbers([pods.index(tombstone.pod.uid) for tombstone in tombstones])
    out.numbers([_FINAL if tombstone.final else 0 for tombstone in tombstones])
    out.numbers([tombstone.excess for tombstone in tombstones])
    out.vectors([tombstone.last for tombstone in tombstones])


def _read_tombstones(reader: BinaryReader, pods: Sequence[PodIdentity]) -> dict[str, Tombstone]:
    count = reader.length(MAX_TOMBSTONES)
    ids = reader.ids(count, _MAX_TEXT)
    homes = _read_indexes(reader, count, len(pods))
    final = reader.numbers(count, _FINAL)
    excess = reader.numbers(count)
    last = reader.vectors(count)
    return {
        ids[at]: Tombstone(pods[homes[at]], last[at], bool(final[at]), excess[at])
        for at in range(count)
    }


def _write_legacy(out: BinaryWriter, cp: Checkpoint, pods: _PodTable, models: _ModelTable) -> None:
    for keys in (list(cp.closed), list(cp.legacy)):
        out.number(len(keys))
        out.numbers([pods.index(key.pod_uid) for key in keys])
        for key in keys:
            out.text(key.container)
    sources = list(cp.legacy.values())
    _write_tallies(out, [windows.retired for windows in sources], models)
    for windows in sources:
        out.optional(windows.retired_until)
        out.optional(windows.counted_until)
        out.number(len(windows.open))
        for start in windows.open:
            out.optional(start)
    _write_meters(out, [meter for windows in sources for meter in windows.open.values()], models)


def _read_legacy_keys(
    reader: BinaryReader, pods: Sequence[PodIdentity]
) -> list[tuple[PodIdentity, str]]:
    count = reader.length(MAX_LEGACY)
    homes = _read_indexes(reader, count, len(pods))
    return [(pods[home], reader.text(_MAX_TEXT)) for home in homes]


def _read_legacy(
    reader: BinaryReader, pods: Sequence[PodIdentity], models: Sequence[ModelKey]
) -> dict[LegacyKey, DrainedWindows]:
    keys = _read_legacy_keys(reader, pods)
    retired = _read_tallies(reader, len(keys), models)
    shapes = []
    for _ in keys:
        retired_until = reader.optional()
        counted_until = reader.optional()
        size = reader.length(MAX_OPEN_WINDOWS + 1)
        shapes.append((retired_until, counted_until, [reader.optional() for _ in range(size)]))
    meters = iter(_read_meters(reader, sum(len(starts) for *_, starts in shapes), models))
    found = {}
    for (pod, container), tally, (retired_until, counted_until, starts) in zip(
        keys, retired, shapes, strict=True
    ):
        windows = {start: next(meters) for start in starts}
        found[LegacyKey(pod.uid, container)] = DrainedWindows(
            pod.created_at, windows, tally, retired_until, counted_until
        )
    return found


def _write_cost(out: BinaryWriter, cost: AccruedCost) -> None:
    whole, fraction = divmod(cost.pico, _PICO)
    out.text(cost.currency)
    out.number(min(whole, MAX_COUNT))
    out.number(fraction)
    out.number(min(cost.tokens, MAX_COUNT))


def _read_cost(reader: BinaryReader) -> AccruedCost:
    currency = reader.text(_MAX_CURRENCY)
    whole, fraction = reader.number(), reader.number(_PICO - 1)
    return AccruedCost(currency, whole * _PICO + fraction, reader.number())
