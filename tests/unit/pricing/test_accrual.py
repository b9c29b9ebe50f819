"""The running cost: growth at the price in force when it was seen, and nothing but a sum."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import SeriesRow
from agentspec_usage.metering.state import NO_COST, AccruedCost
from agentspec_usage.pricing.accrual import accrued
from agentspec_usage.pricing.book import Unpriced
from agentspec_usage.pricing.rates import Rates, UnitPrices
from tests.unit.pricing.rates import prices

RISE = 1000
"""When the price doubles."""


@dataclass(frozen=True)
class OneModel:
    """A book of one model, whose price doubles."""

    currency: str = "USD"
    version: str = "1"

    def find(self, key: SeriesKey, at: int) -> UnitPrices | Unpriced | None:
        rate = 3 if at < RISE else 6
        return prices((0, Rates(rate, rate))) if key.model == "known" else None


def row(tokens: int, model: str = "known") -> SeriesRow:
    return SeriesRow(SeriesKey("p", model), TokenCounts(tokens, calls=1))


def test_each_growth_costs_what_its_price_was_and_keeps_it() -> None:
    cost = accrued(NO_COST, [row(10)], RISE - 1, OneModel())
    assert cost == AccruedCost("USD", 30, 10)
    assert accrued(cost, [row(10)], RISE, OneModel()) == AccruedCost("USD", 90, 20)


def test_what_has_no_price_adds_nothing_and_is_not_among_the_priced() -> None:
    cost = accrued(NO_COST, [row(10), row(7, "unknown")], 0, OneModel())
    assert cost == AccruedCost("USD", 30, 10)


def test_another_currency_begins_a_new_sum() -> None:
    dollars = accrued(NO_COST, [row(10)], 0, OneModel())
    assert accrued(dollars, [], 0, OneModel(currency="EUR")) == AccruedCost("EUR")
    # The price is in USD: it is no part of a sum in EUR.
    assert accrued(dollars, [row(10)], 0, OneModel(currency="EUR")) == AccruedCost("EUR")


def test_no_growth_leaves_the_same_value() -> None:
    cost = AccruedCost("USD", 30, 10)
    assert accrued(cost, [], 0, OneModel()) is cost


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 2 * RISE))))
def test_the_sum_is_that_of_its_growths_in_any_order(growths: list[tuple[int, int]]) -> None:
    book = OneModel()
    forth, back = NO_COST, NO_COST
    for tokens, at in growths:
        forth = accrued(forth, [row(tokens)], at, book)
    for tokens, at in reversed(growths):
        back = accrued(back, [row(tokens)], at, book)
    expected = sum(tokens * (3 if at < RISE else 6) for tokens, at in growths)
    assert (forth.pico, back.pico) == (expected, expected)
