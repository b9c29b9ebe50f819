"""Usage by model: the one breakdown that people look at, and how it is made to add up.

A *cell* is what one (provider, model) used: series of other price contexts collapse into it. Cells
are detail beside totals, never the source of totals: where detail was lost (a bounded body, a
bounded state, an instance that was met in the middle of its life) the difference is shown as
``UNATTRIBUTED``, so the rows always sum to the totals, component by component.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.series import OTHER_MODEL
from agentspec_usage.metering.snapshot import SeriesRow

__all__ = [
    "MAX_MODELS",
    "MODEL_ROWS",
    "OTHER",
    "UNATTRIBUTED",
    "ModelKey",
    "ModelUsage",
    "by_model",
    "most_used",
    "rank",
]

MAX_MODELS = 64
"""Models that one meter or sum keeps: three times what a status shows, so that one that grows late
can still overtake, and few enough that ten thousand made-up names cost nothing."""

MODEL_ROWS = 20
"""Models shown by name: ``kubectl describe`` stays readable, the status within 24 KiB."""


class ModelKey(NamedTuple):
    """A model as people name it: the same name at two providers is two models."""

    provider: str
    model: str


OTHER = ModelKey("", OTHER_MODEL)
"""Models beyond the rows that are shown, and what an instance itself counted as other."""

UNATTRIBUTED = ModelKey("", "__unattributed__")
"""Usage whose model is not known any more; this row alone may fall."""


@dataclass(frozen=True, slots=True)
class ModelUsage:
    """One row: what a model used."""

    provider: str
    model: str
    counts: TokenCounts


def by_model(rows: Iterable[SeriesRow]) -> dict[ModelKey, TokenCounts]:
    """Collapse series to cells, in the order in which the models first appear."""
    cells: dict[ModelKey, TokenCounts] = {}
    for row in rows:
        key = ModelKey(row.key.provider, row.key.model)
        known = cells.get(key)
        cells[key] = row.counts if known is None else known + row.counts
    return cells


def most_used(cells: Mapping[ModelKey, TokenCounts], limit: int) -> dict[ModelKey, TokenCounts]:
    """At most ``limit`` cells, by tokens, calls, and then name, so that rows do not jump."""
    ordered = sorted(cells.items(), key=lambda cell: (-cell[1].total, -cell[1].calls, cell[0]))
    return dict(ordered[:limit])


def rank(
    cells: Mapping[ModelKey, TokenCounts], totals: TokenCounts, limit: int
) -> tuple[ModelUsage, ...]:
    """Rows that sum to ``totals``: the ``limit`` most used, other, unattributed.

    A sender whose cells exceed its totals cannot make rows exceed them: the least used rows are
    cut. A sender that uses our reserved names adds to those rows and never makes a second one,
    which the API server would refuse.
    """
    named = {key: counts for key, counts in cells.items() if key not in (OTHER, UNATTRIBUTED)}
    shown = most_used(named, limit)
    rest = [counts for key, counts in cells.items() if key not in shown and key != UNATTRIBUTED]
    rows: list[ModelUsage] = []
    left = totals
    for key, counts in [*shown.items(), (OTHER, sum_counts(rest))]:
        within = counts.meet(left)
        left = left.increase_since(within)
        if within:
            rows.append(ModelUsage(key.provider, key.model, within))
    if left:
        rows.append(ModelUsage(UNATTRIBUTED.provider, UNATTRIBUTED.model, left))
    return tuple(rows)
