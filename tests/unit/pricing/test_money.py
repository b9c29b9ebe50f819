"""Money is a whole number of 10^-12 and says so as a decimal."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import UsageError
from agentspec_usage.pricing.money import PICO, Money, by_currency, pico_per_unit


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        pytest.param(0, "0", id="zero"),
        pytest.param(PICO, "1", id="a whole one"),
        pytest.param(3_428_250_000, "0.00342825", id="a call"),
        pytest.param(1, "0.000000000001", id="the least"),
        pytest.param(-PICO // 2, "-0.5", id="a reversal"),
        pytest.param(12 * PICO + PICO // 10, "12.1", id="no trailing zeros"),
    ],
)
def test_an_amount_is_written_as_a_plain_decimal(pico: int, text: str) -> None:
    assert str(Money(pico)) == text


@given(st.integers(-(10**40), 10**40))
def test_the_decimal_is_exact_whatever_the_precision_around_it(pico: int) -> None:
    with localcontext(prec=3):
        amount = Money(pico).amount
        text = str(Money(pico))
    with localcontext(prec=60):
        assert amount * PICO == pico
        assert Decimal(text) == amount


def test_amounts_of_two_currencies_are_not_added() -> None:
    assert Money(1, "EUR") + Money(2, "EUR") == Money(3, "EUR")
    with pytest.raises(UsageError, match="expected one currency"):
        Money(1, "EUR") + Money(1, "USD")


def test_sums_of_mixed_currencies_stay_apart() -> None:
    amounts = [Money(1, "USD"), Money(5, "EUR"), Money(2, "USD"), -Money(1, "EUR")]
    assert by_currency(amounts) == (Money(4, "EUR"), Money(3, "USD"))


@pytest.mark.parametrize(
    ("price", "per", "pico"),
    [
        pytest.param("3", 1_000_000, 3_000_000, id="$3 a million"),
        pytest.param("0.000001", 1_000_000, 1, id="the finest price a million"),
        pytest.param("0.18000000000000002", 1_000_000, 180_000, id="the noise of a float"),
        pytest.param("0.0833333333333333", 1_000_000, 83_333, id="a twelfth"),
        pytest.param("10", 1000, 10**10, id="$10 a thousand searches"),
        pytest.param("0.36", 3600, 10**8, id="by the hour, for a second"),
        pytest.param("0.0000015", 1_000_000, 2, id="half to even, up"),
        pytest.param("0.0000025", 1_000_000, 2, id="half to even, down"),
    ],
)
def test_a_price_is_rounded_once_to_the_unit(price: str, per: int, pico: int) -> None:
    assert pico_per_unit(Decimal(price), per) == pico
