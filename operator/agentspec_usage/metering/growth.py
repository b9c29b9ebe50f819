"""What grew between two checkpoints, by series: the part of the counts that has to be priced now.

A checkpoint keeps models, and a price wants the series, because a large call can cost twice what
its tokens cost in small ones. So the growth of each model, which is exact, is shared out among the
series that the reading shows for it. A model with one series, the common case, has nothing to
share; with several, what each showed last is remembered (``Meter.series``). Where it is not, after
a restart, the last series in the reading is taken to be what grew: the shares of that one reading
are a guess, their sum is not.

Growth whose model is not known is in the totals and not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.meter import Meter
from agentspec_usage.metering.models import ModelKey
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageReading
from agentspec_usage.metering.state import Checkpoint

__all__ = ["growth"]


def growth(
    before: Checkpoint, after: Checkpoint, reading: UsageReading | None = None
) -> list[SeriesRow]:
    """The increase of every series from ``before`` to ``after``.

    ``reading`` is what was observed between the two; without it, the series that the meters
    remember, else the models, stand for what it showed.
    """
    shown = {} if reading is None else {s.instance_id: s.rows for s in reading.snapshots}
    grown: list[SeriesRow] = []
    for instance_id, instance in after.live.items():
        old = before.live.get(instance_id)
        if old is None or old.meter is not instance.meter:
            rows = shown.get(instance_id)
            grown.extend(_growth(old.meter if old is not None else None, instance.meter, rows))
    for source, windows in after.legacy.items():
        known = before.legacy.get(source)
        if known is windows:
            continue
        for start, meter in windows.open.items():
            earlier = known.open.get(start) if known is not None else None
            if earlier is not meter:
                grown.extend(_growth(earlier, meter, shown.get(None)))
    return grown


def _growth(
    old: Meter | None, new: Meter, shown: Sequence[SeriesRow] | None
) -> Iterator[SeriesRow]:
    if shown is None:
        shown = [SeriesRow(key, counts) for key, counts in new.series.items()]
    for model, span in new.models.items():
        known = old.models.get(model) if old is not None else None
        increase = span.used.increase_since(known.used if known is not None else ZERO)
        if increase:
            rows = [row for row in shown if (row.key.provider, row.key.model) == model]
            yield from _shared(increase, model, rows, old)


def _shared(
    increase: TokenCounts, model: ModelKey, rows: Sequence[SeriesRow], old: Meter | None
) -> Iterable[SeriesRow]:
    """``increase`` by series; whatever the rows say, the shares sum to it."""
    if len(rows) <= 1:
        key = rows[0].key if rows else SeriesKey(provider=model.provider, model=model.model)
        return [SeriesRow(key, increase)]
    series = old.series if old is not None else {}
    left = increase
    shares = []
    for row in reversed(rows):
        share = row.counts.increase_since(series.get(row.key, ZERO)).meet(left)
        left = left.increase_since(share)
        shares.append(SeriesRow(row.key, share))
    shares[-1] = SeriesRow(rows[0].key, shares[-1].counts + left)
    return [share for share in shares if share.counts]
