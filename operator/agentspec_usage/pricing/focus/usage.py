"""What rows are made of: the usage of a day that has one price, by whom it was.

``counts`` and ``pico`` are sums of the journal's entries and signed as those are: where a price was
corrected, or an estimate shrank, they can be below zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import UnpricedReason
from agentspec_usage.pricing.rates import UnitPrices

__all__ = ["Attribution", "Counts", "DayUsage"]

Counts = tuple[int, ...]
"""The components of a count vector, in its order; a correction's may be below zero."""


@dataclass(frozen=True, slots=True, order=True)
class Attribution:
    """Who is charged; the cost centre and the team are "" where there is none."""

    namespace: str
    agent: str
    cost_center: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class DayUsage:
    """Entries of one day, account, series and price, summed up.

    ``day`` is when it was used: midnight UTC, in ms. ``prices`` are those of the one tier that was
    charged (``card``), or why there was none. ``pico`` is what was charged, in 10^-12 of the
    currency of the prices. ``estimated`` counts calls whose price is an estimate. ``correction``
    says that the usage is of a period that was closed before it came, and is charged in a later
    one.
    """

    day: int
    attribution: Attribution
    series: SeriesKey
    catalogue: str
    prices: UnitPrices | UnpricedReason
    counts: Counts
    pico: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    estimated: int = 0
    correction: bool = False
