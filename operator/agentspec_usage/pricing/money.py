"""Money: a whole number of 10^-12 of a currency.

An integer and no ``Decimal`` inside, because a Decimal silently rounds to the precision of whatever
context its thread is in: a sum over a year would depend on who adds it up. Unit prices are whole
numbers of the same size (``rates``), so that a charge is a product of integers. Nothing is ever
rounded but a price, once, when it is read. To people and wires an amount is a decimal
(``amount``, ``str``).

Amounts of two currencies are never added: there is no conversion here, a price book has one
currency and mixed ones stay apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from agentspec_usage.errors import UsageError

__all__ = ["PICO", "Money", "amounts_left", "by_currency", "pico_per_unit"]

PICO = 10**12
"""Units of a ``Money`` in one unit of its currency."""


def pico_per_unit(price: Decimal, per: int) -> int:
    """What one unit costs where ``per`` units cost ``price``, rounded half to even.

    A published price per million tokens has at most six decimals and is exact here. What has more
    is noise of a float (0.18000000000000002), or a third (a twelfth of a dollar a million, a price
    by the hour for a second), and is off by at most half of 10^-12 a unit.
    """
    return round(Fraction(price) * PICO / per)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount. ``pico`` counts 10^-12 of the currency; a correction's may be negative."""

    pico: int
    currency: str = "USD"

    @property
    def amount(self) -> Decimal:
        """The exact decimal, whatever the precision of the context."""
        return Decimal(f"{self.pico}E-12")

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise UsageError(
                f"{other} {other.currency} added to {self.currency}: expected one currency"
            )
        return Money(self.pico + other.pico, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.pico, self.currency)

    def __str__(self) -> str:
        """The decimal string that every wire of ours emits: no exponent, no trailing zeros."""
        whole, fraction = divmod(abs(self.pico), PICO)
        sign = "-" if self.pico < 0 else ""
        decimals = f"{fraction:012d}".rstrip("0")
        return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def by_currency(amounts: Iterable[Money]) -> tuple[Money, ...]:
    """One sum for each currency, in the order of their names."""
    sums: dict[str, int] = {}
    for money in amounts:
        sums[money.currency] = sums.get(money.currency, 0) + money.pico
    return tuple(Money(sums[currency], currency) for currency in sorted(sums))


def amounts_left(sums: tuple[Money, ...], *, priced: bool) -> tuple[Money, ...]:
    """The amounts to show of ``sums``, without currencies in which everything was taken back.

    A sum of nothing is an amount where that is all there is and something has a price
    (``priced``): what is free costs 0. What lost its price, or got one in another currency, left
    nothing there, and that is no amount.
    """
    some = tuple(money for money in sums if money.pico)
    return some or (sums if priced else ())
