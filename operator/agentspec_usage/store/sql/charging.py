"""Charges: what each item costs by the price book in force, as it is stored.

A charge names the prices that gave it (``Dictionaries.price``), so that it can be computed again,
bit by bit. An item without a price has a reason instead, and no amount: unknown is not zero.

An amount is two integers, thousandths of the currency's unit and what is left of them in 10^-12,
because a database's integers end at 2^63 and a sum over ten million items must not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import PriceBook, Unpriced, UnpricedReason
from agentspec_usage.pricing.charge import Charge, charge
from agentspec_usage.pricing.money import PICO, Money
from agentspec_usage.pricing.rates import UnitPrices
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries

__all__ = [
    "LARGEST_CHARGE",
    "NO_PRICES",
    "Charged",
    "Charging",
    "Priced",
    "money_of",
    "money_of_sums",
    "split",
    "summed_money",
]

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


@dataclass(frozen=True, slots=True)
class _NoPrices:
    """A book that knows no model."""

    version: str = "none"
    currency: str = "USD"

    def find(self, key: SeriesKey, at: int) -> UnitPrices | Unpriced | None:
        return None


NO_PRICES: PriceBook = _NoPrices()

_UNKNOWN = Unpriced(UnpricedReason.UNKNOWN_MODEL)
_IMPLAUSIBLE = Unpriced(UnpricedReason.IMPLAUSIBLE)


class Charged(NamedTuple):
    """An item's money, as it is stored.

    ``price`` is the number of the prices that gave it, ``price_hash`` what stands for them in what
    is hashed. ``priced`` counts its calls whose price is whole, ``estimated`` those whose price is
    an estimate; both are below zero in a reversal.
    """

    price: int
    price_hash: str
    milli: int
    pico: int
    priced: int
    estimated: int


class Priced(NamedTuple):
    """What something costs, before its prices have a number. ``pico`` is 0 without a currency."""

    prices: UnitPrices | Unpriced
    tier: int
    currency: str
    pico: int
    priced: int
    estimated: int

    def assumed(self, calls: int) -> Priced:
        """The same, as an estimate of so many calls: something is assumed of all of them. What has
        no price is no estimate of one."""
        return self._replace(estimated=calls) if self.priced or self.pico else self


class Charging:
    """Charges by ``book``."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self._version = book.version

    def priced(
        self, key: SeriesKey, at: int, counts: TokenCounts, requests: Mapping[str, int]
    ) -> Priced:
        """What ``counts`` and ``requests`` of series ``key`` cost at ``at`` (ms, UTC); nothing is
        written for it."""
        prices = self.book.find(key, at) or _UNKNOWN
        made = (
            prices
            if isinstance(prices, Unpriced)
            else charge(counts, requests, prices, key.context_class)
        )
        if isinstance(made, Charge) and made.amount.pico > LARGEST_CHARGE.pico:
            # Counts that a defect or a joker made up must not stop their sender's frames.
            made = _IMPLAUSIBLE
        if isinstance(made, Unpriced):
            return Priced(made, 0, "", 0, 0, 0)
        calls = counts.calls
        return Priced(
            prices,
            made.tier,
            *(made.amount.currency, made.amount.pico),
            *(0 if made.unpriced else calls, calls if made.doubts else 0),
        )

    def charged(
        self, connection: Connection, dictionaries: Dictionaries, priced: Priced
    ) -> Charged:
        """As it is stored: its prices have a number."""
        prices, tier, _, pico, whole, estimated = priced
        number = dictionaries.price(connection, self._version, prices, tier)
        return Charged(*number, *divmod(pico, _MILLI), whole, estimated)
