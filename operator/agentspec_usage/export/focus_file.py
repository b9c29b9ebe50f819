"""A month as a file of charges, and beside it what it cannot have, because it has no price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO

from agentspec_usage.export.focus_csv import write_focus_csv
from agentspec_usage.export.focus_parquet import write_focus_parquet
from agentspec_usage.pricing.book import UnpricedReason
from agentspec_usage.pricing.focus.columns import FocusRow
from agentspec_usage.pricing.focus.rows import Export, rows_of
from agentspec_usage.pricing.focus.unpriced import UnpricedUsage, unpriced_of
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.pricing.money import Money

__all__ = ["FocusFormat", "Written", "unpriced_in", "write_focus"]


class FocusFormat(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows a file has and what they sum to, an amount for each currency; and what has no
    price."""

    rows: int
    billed: tuple[Money, ...]
    unpriced: tuple[UnpricedUsage, ...]


_WRITERS: Mapping[FocusFormat, Callable[[Iterable[Sequence[FocusRow]], IO[bytes]], None]] = {
    FocusFormat.CSV: write_focus_csv,
    FocusFormat.PARQUET: write_focus_parquet,
}


def write_focus(
    parts: Iterable[Sequence[DayUsage]], export: Export, kind: FocusFormat, out: IO[bytes]
) -> Written:
    """Write the charges of ``parts`` to ``out``, a part after the other.

    Raises ``MissingExtraError`` for Parquet without its extra.
    """
    count = 0
    billed: dict[str, int] = {}
    unpriced: dict[UnpricedUsage, int] = {}

    def rows() -> Iterator[Sequence[FocusRow]]:
        nonlocal count
        for part in parts:
            made = rows_of(part, export)
            count += len(made)
            for used in part:
                if not isinstance(used.prices, UnpricedReason):
                    currency = used.prices.currency
                    billed[currency] = billed.get(currency, 0) + used.pico
            _add(unpriced, part)
            yield made

    _WRITERS[kind](rows(), out)
    sums = tuple(Money(billed[currency], currency) for currency in sorted(billed))
    return Written(count, sums, _in_order(unpriced))


def unpriced_in(parts: Iterable[Sequence[DayUsage]]) -> tuple[UnpricedUsage, ...]:
    """What has no price, without writing what has one."""
    unpriced: dict[UnpricedUsage, int] = {}
    for part in parts:
        _add(unpriced, part)
    return _in_order(unpriced)


def _add(sums: dict[UnpricedUsage, int], part: Sequence[DayUsage]) -> None:
    for each in unpriced_of(part):
        of = replace(each, quantity=0)
        sums[of] = sums.get(of, 0) + each.quantity


def _in_order(sums: Mapping[UnpricedUsage, int]) -> tuple[UnpricedUsage, ...]:
    return tuple(replace(of, quantity=sums[of]) for of in sorted(sums) if sums[of])
