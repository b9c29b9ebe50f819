"""A level: how far an instance had counted at some moment, in all and by series.

An instance only counts upwards, so its levels lie on one path and of two the larger is the later.
What several readers saw of it, late, twice, or in another order, is joined component by component,
and no order of joining gives another level.

Detail may be missing (a bounded body leaves out the least used series), totals never are: the cells
sum to at most the totals. Where a sum is shared out among cells, what no cell claims goes to a rest
that the caller names.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import UsageSnapshot

__all__ = ["Key", "Level", "level_of"]

Key = TypeVar("Key", bound=Hashable)
"""What tells series apart: their keys, or the numbers that a store gave them."""


@dataclass(frozen=True, slots=True)
class Level(Generic[Key]):
    """Cumulative totals, and what each series has of them as far as that is known."""

    totals: TokenCounts = ZERO
    cells: Mapping[Key, TokenCounts] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.totals)

    def __add__(self, other: Level[Key]) -> Level[Key]:
        """Both together: of two paths, or of a path and what came on top of it."""
        cells = dict(self.cells)
        for key, counts in other.cells.items():
            cells[key] = cells.get(key, ZERO) + counts
        return Level(self.totals + other.totals, cells)

    def join(self, other: Level[Key]) -> Level[Key]:
        """The later of two moments of one path, whichever that is."""
        cells = dict(self.cells)
        for key, counts in other.cells.items():
            known = cells.get(key)
            cells[key] = counts if known is None else known.join(counts)
        return Level(self.totals.join(other.totals), cells)

    def covers(self, other: Level[Key]) -> bool:
        """Whether ``other`` counted nothing beyond this level; the totals decide."""
        return self.totals.covers(other.totals)

    def cell(self, key: Key) -> TokenCounts:
        return self.cells.get(key, ZERO)


def level_of(snapshot: UsageSnapshot) -> Level[SeriesKey]:
    """The level that a snapshot shows."""
    cells: dict[SeriesKey, TokenCounts] = {}
    for row in snapshot.rows:
        if row.counts:
            cells[row.key] = cells.get(row.key, ZERO) + row.counts
    return Level(snapshot.totals, cells)
