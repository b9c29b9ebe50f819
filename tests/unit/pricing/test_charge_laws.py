"""The laws of charges, which statements rest on."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricing.charge import NO_REQUESTS, Charge, charge
from agentspec_usage.pricing.rates import Rates, scaled
from tests.unit.pricing.rates import any_rates, lawful_counts, prices


def amount(counts: TokenCounts, rates: Rates) -> int:
    found = charge(counts, NO_REQUESTS, prices((0, rates)), 0)
    assert isinstance(found, Charge)
    return found.amount.pico


@given(lawful_counts(), any_rates)
def test_lines_sum_to_the_amount_and_their_tokens_to_the_total(
    counts: TokenCounts, rates: Rates
) -> None:
    found = charge(counts, NO_REQUESTS, prices((0, rates)), 0)
    assert isinstance(found, Charge)
    assert sum(line.pico for line in found.lines) == found.amount.pico
    assert sum(line.quantity * line.list_rate for line in found.lines) == found.list_amount.pico
    tokens = sum(line.quantity for line in found.lines if line.type != "calls")
    assert tokens == counts.total


@given(lawful_counts(), lawful_counts(), any_rates)
def test_two_calls_of_one_series_cost_together_what_each_costs_alone(
    a: TokenCounts, b: TokenCounts, rates: Rates
) -> None:
    assert amount(a, rates) + amount(b, rates) == amount(a + b, rates)


@given(lawful_counts(), lawful_counts(), any_rates)
def test_more_usage_never_costs_less(a: TokenCounts, more: TokenCounts, rates: Rates) -> None:
    assert amount(a + more, rates) >= amount(a, rates)


@given(lawful_counts(), any_rates)
def test_pricing_again_by_the_same_prices_gives_the_same_charge(
    counts: TokenCounts, rates: Rates
) -> None:
    book = prices((0, rates))
    again = prices((0, rates))
    assert charge(counts, NO_REQUESTS, book, 0) == charge(counts, NO_REQUESTS, again, 0)


@given(st.builds(TokenCounts, *[st.integers(0, 2**53 - 1)] * 15), any_rates)
def test_counts_that_contradict_each_other_are_never_paid_twice(
    counts: TokenCounts, rates: Rates
) -> None:
    found = charge(counts, NO_REQUESTS, prices((0, rates)), 0)
    if isinstance(found, Charge):
        tokens = sum(line.quantity for line in found.lines if line.type != "calls")
        assert tokens == counts.input + counts.output
        assert sum(line.pico for line in found.lines) == found.amount.pico


@given(lawful_counts(), any_rates, st.decimals("0", "1", places=3))
def test_a_discount_leaves_the_list_price_and_an_uplift_moves_it(
    counts: TokenCounts, rates: Rates, factor: Decimal
) -> None:
    listed = prices((0, rates))
    plain = charge(counts, NO_REQUESTS, listed, 0)
    discounted = charge(counts, NO_REQUESTS, scaled(listed, factor, "discount"), 0)
    uplifted = charge(
        counts, NO_REQUESTS, scaled(listed, 1 + factor, "uplift", as_list_price=True), 0
    )
    assert isinstance(plain, Charge)
    assert isinstance(discounted, Charge)
    assert isinstance(uplifted, Charge)
    assert discounted.list_amount == plain.amount
    assert discounted.amount.pico <= plain.amount.pico <= uplifted.amount.pico
    assert uplifted.list_amount == uplifted.amount
