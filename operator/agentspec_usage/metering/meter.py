"""A meter: the growth of one cumulative source since it was first counted.

What a source used is the distance between where counting began (``base``) and the component-wise
maximum of all that was seen (``last``). Reading it again, late, or out of order moves nothing: that
is the whole reason why scrapes need no acknowledgement. A source met at its birth begins at zero;
one that was counted before, or may have been, begins where that count ended, so that it can add
only growth.

Models have spans of their own. A model that appears later began at zero only in a meter that is
``whole``: one that began at zero itself, was always shown complete rows, and never dropped a model
to stay small. Elsewhere the model may have been counted before, so its span begins at what is seen.

A model's series (``growth`` prices them apart) have no spans: what they showed last is remembered
where a model has several, for the life of this process alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.models import MAX_MODELS, ModelKey, by_model
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow, UsageSnapshot
from agentspec_usage.metering.tally import Tally

__all__ = ["Meter", "Span", "meter_from"]

_NO_SERIES: Mapping[SeriesKey, TokenCounts] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Span:
    """From where counting began to the most that was seen."""

    base: TokenCounts = ZERO
    last: TokenCounts = ZERO

    @property
    def used(self) -> TokenCounts:
        """What was used between the two."""
        # Identity first: nearly every span begins at zero, or stands where it began.
        if self.base is ZERO:
            return self.last
        if self.base is self.last:
            return ZERO
        return self.last.increase_since(self.base)

    def reaching(self, seen: TokenCounts) -> Span:
        """The span after another reading."""
        return self if self.last.covers(seen) else Span(self.base, self.last.join(seen))


@dataclass(frozen=True, slots=True)
class Meter:
    """The span of a source's totals and of each model; see the module for the rest."""

    totals: Span = Span()
    models: Mapping[ModelKey, Span] = field(default_factory=dict)
    whole: bool = True
    series: Mapping[SeriesKey, TokenCounts] = field(
        default_factory=lambda: _NO_SERIES, compare=False
    )

    def advance(self, snapshot: UsageSnapshot) -> Meter:
        """The meter after reading ``snapshot``; itself when the snapshot tells nothing new.

        Rows are looked at only when the totals grew: a cumulative source cannot use a model without
        them.
        """
        totals = self.totals.reaching(snapshot.totals)
        if totals is self.totals:
            return self
        seen = by_model(snapshot.rows)
        models = dict(self.models)
        for key, counts in seen.items():
            known = models.get(key)
            if known is not None:
                models[key] = known.reaching(counts)
            elif counts or not self.whole:
                models[key] = Span(ZERO if self.whole else counts, counts)
        complete = sum_counts(seen.values()) == snapshot.totals
        series = _crowded(snapshot.rows, len(seen))
        return Meter(totals, models, self.whole and complete, series)._bounded()

    def used(self) -> Tally:
        """What the source used since counting began; models without growth are left out."""
        models = {key: used for key, span in self.models.items() if (used := span.used)}
        return Tally(self.totals.used, models)

    def counted(self, keys: Set[ModelKey]) -> Meter:
        """The meter after somebody else took over what these models used: they begin again now."""
        models = {
            key: Span(span.last, span.last) if key in keys else span
            for key, span in self.models.items()
        }
        return Meter(self.totals, models, False, self.series)

    def _bounded(self) -> Meter:
        if len(self.models) <= MAX_MODELS:
            return self
        # A stable sort: of models without growth the longest known stay, so that one reading after
        # another keeps the same ones and their growth can be seen.
        order = sorted(self.models, key=lambda key: self.models[key].used.total, reverse=True)
        kept = {key: self.models[key] for key in order[:MAX_MODELS]}
        return Meter(self.totals, kept, False, self.series)


def meter_from(counted: TokenCounts, snapshot: UsageSnapshot) -> Meter:
    """The meter of a source of which ``counted`` is, or may be, in the totals already."""
    models = {key: Span(seen, seen) for key, seen in by_model(snapshot.rows).items()}
    totals = Span(counted, counted.join(snapshot.totals))
    return Meter(totals, models, False, _crowded(snapshot.rows, len(models)))._bounded()


def _crowded(rows: tuple[SeriesRow, ...], models: int) -> Mapping[SeriesKey, TokenCounts]:
    """The series of the models that have several: a model's only series is the model itself."""
    if len(rows) == models:
        return _NO_SERIES
    number: dict[tuple[str, str], int] = {}
    for row in rows:
        model = (row.key.provider, row.key.model)
        number[model] = number.get(model, 0) + 1
    return {row.key: row.counts for row in rows if number[row.key.provider, row.key.model] > 1}
