"""Charges: what each item costs by the price book in force, written in the item's transaction.

A charge is kept with the version of the book that gave it, so that it can be computed again, bit by
bit. Charges are only ever added: a new price for an old item is a reversal and another charge. An
item without a price has a reason instead, and no charge: unknown is not zero.

An amount is two integers, thousandths of the currency's unit and what is left of them in 10^-12,
because SQLite's integers end at 2^63 and a sum over ten million items must not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.frame import bucket_of
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import PriceBook, Unpriced, UnpricedReason
from agentspec_usage.pricing.charge import Charge, ChargeStatus, price
from agentspec_usage.pricing.money import PICO, Money
from agentspec_usage.pricing.rates import UnitPrices

__all__ = [
    "BUCKET_COSTS",
    "DAY_COSTS",
    "LARGEST_CHARGE",
    "NO_PRICES",
    "Charges",
    "ToPrice",
    "money_of",
    "money_of_sums",
    "split",
    "summed_count",
    "summed_money",
]

BUCKET_COSTS = "bucket_costs"
DAY_COSTS = "day_costs"

LARGEST_CHARGE = Money(10**9 * PICO)
"""An item beyond it, a milliard of the currency's unit, has no price: sums stay within integers."""

_MILLI = 10**9
"""Of 10^-12 in a thousandth."""

_LIMB = 31
"""Bits of the low limb: 2^31 rows of either limb are below 2^63."""


def split(money: Money) -> tuple[int, int]:
    """Thousandths, and the rest in 10^-12, which is never negative."""
    return divmod(money.pico, _MILLI)


def money_of(milli: int, pico: int, currency: str) -> Money:
    """What ``split`` parted, also after many were summed up."""
    return Money(milli * _MILLI + pico, currency)


def summed_money(alias: str) -> str:
    """The sums of thousandths, in two limbs, and of rests, for a SELECT from ``alias``.

    ``sum`` is exact and fails beyond 2^63. A few rows of what one agent may claim are beyond it,
    and what one agent claims must not keep others from their sums; so its limbs are summed.
    """
    return (
        f"sum({alias}.milli >> {_LIMB}), sum({alias}.milli & {(1 << _LIMB) - 1}), sum({alias}.pico)"
    )


def money_of_sums(high: int, low: int, pico: int, currency: str) -> Money:
    """What ``summed_money`` selects."""
    return money_of((high << _LIMB) + low, pico, currency)


def summed_count(expression: str) -> str:
    """The sum of counts, which stops at the largest one as every count does."""
    return f"CAST(min(total({expression}), {MAX_COUNT}.0) AS INTEGER)"


_INSERT = (
    "INSERT INTO charges "
    "(item, number, kind, catalogue, currency, milli, pico, estimated, partly, at) "
    "VALUES (?, 1, 'charge', ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_UNPRICED = "INSERT INTO unpriced (item, catalogue, reason) VALUES (?, ?, ?)"


def _upsert(table: str) -> str:
    return (
        f"INSERT INTO {table} (start, agent, series, currency, milli, pico, priced, estimated) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (start, agent, series, currency) DO UPDATE "
        "SET milli = milli + excluded.milli, pico = pico + excluded.pico, "
        f"priced = min(priced + excluded.priced, {MAX_COUNT}), "
        f"estimated = min(estimated + excluded.estimated, {MAX_COUNT})"
    )


_UPSERTS = ((_upsert(BUCKET_COSTS), bucket_of), (_upsert(DAY_COSTS), lambda at: at - at % DAY_MS))


@dataclass(frozen=True, slots=True)
class _NoPrices:
    """A book that knows no model."""

    version: str = "none"
    currency: str = "USD"

    def find(self, key: SeriesKey, at: int) -> UnitPrices | Unpriced | None:
        return None


NO_PRICES: PriceBook = _NoPrices()


@dataclass(frozen=True, slots=True)
class ToPrice:
    """An item, as far as its price depends on it. ``series`` is its number."""

    item: int
    at: int
    series: int
    key: SeriesKey
    counts: TokenCounts
    requests: Mapping[str, int]


class Charges:
    """Charges items by ``book``."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book
        self._catalogue: int | None = None

    def forget(self) -> None:
        """A transaction was undone: the number given in it was never given."""
        self._catalogue = None

    def charge(
        self, connection: sqlite3.Connection, agent: int, items: Sequence[ToPrice], now: int
    ) -> None:
        """Charge new items of the agent, and add that to the sums of costs."""
        catalogue = self._number(connection)
        charges: list[tuple[object, ...]] = []
        unpriced: list[tuple[object, ...]] = []
        sums: dict[tuple[int, int, int, str], list[int]] = {}
        for item in items:
            found = price(item.counts, item.requests, item.key, item.at, self._book)
            if isinstance(found, Charge) and found.amount.pico > LARGEST_CHARGE.pico:
                # Counts that a defect or a joker made up must not stop their sender's frames.
                found = Unpriced(UnpricedReason.IMPLAUSIBLE)
            if isinstance(found, Unpriced):
                unpriced.append((item.item, catalogue, str(found.reason)))
                continue
            milli, pico = split(found.amount)
            estimated = found.status is ChargeStatus.ESTIMATED
            partly = bool(found.unpriced)
            currency = found.amount.currency
            charges.append(
                (item.item, catalogue, currency, milli, pico, int(estimated), int(partly), now)
            )
            calls = item.counts.calls
            whole = 0 if partly else calls
            for place, (_, start_of) in enumerate(_UPSERTS):
                key = (place, start_of(item.at), item.series, currency)
                row = sums.setdefault(key, [0, 0, 0, 0])
                row[0] += milli
                row[1] += pico
                row[2] += whole
                row[3] += calls if estimated else 0
        connection.executemany(_INSERT, charges)
        connection.executemany(_INSERT_UNPRICED, unpriced)
        self._add(connection, agent, sums)

    def _add(
        self,
        connection: sqlite3.Connection,
        agent: int,
        sums: dict[tuple[int, int, int, str], list[int]],
    ) -> None:
        for place, (upsert, _) in enumerate(_UPSERTS):
            rows: Iterable[tuple[object, ...]] = (
                (start, agent, series, currency, *row[:2], *(min(n, MAX_COUNT) for n in row[2:]))
                for (of, start, series, currency), row in sorted(sums.items())
                if of == place
            )
            connection.executemany(upsert, rows)

    def _number(self, connection: sqlite3.Connection) -> int:
        if self._catalogue is None:
            version = self._book.version
            connection.execute("INSERT OR IGNORE INTO catalogues (version) VALUES (?)", (version,))
            row = connection.execute(
                "SELECT catalogue FROM catalogues WHERE version = ?", (version,)
            ).fetchone()
            self._catalogue = int(row[0])
        return self._catalogue
