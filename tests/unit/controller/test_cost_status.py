"""How a cost is shown."""

from __future__ import annotations

import pytest

from agentspec_usage.controller.cost_status import cost_display, cost_fields
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.state import NO_COST, AccruedCost
from agentspec_usage.pricing.money import PICO

USED = TokenCounts(1000, calls=4, unmetered_calls=1)


@pytest.mark.parametrize(
    ("pico", "currency", "shown"),
    [
        pytest.param(0, "USD", "~$0.00", id="a price of zero"),
        pytest.param(1, "USD", "~$0.000000000001", id="the least"),
        pytest.param(3_428_250_000, "USD", "~$0.00342", id="three digits of little"),
        pytest.param(PICO // 2, "USD", "~$0.50", id="cents"),
        pytest.param(12 * PICO + 349 * PICO // 1000, "EUR", "~€12.34", id="rounded down"),
        pytest.param(9999 * PICO, "CHF", "~CHF 9999.00", id="a currency without a sign"),
        pytest.param(12_345 * PICO, "USD", "~$12.3k", id="much"),
        pytest.param(5_600_000 * PICO, "USD", "~$5.6M", id="very much"),
    ],
)
def test_people_see_an_amount_of_a_few_digits(pico: int, currency: str, shown: str) -> None:
    assert cost_display(AccruedCost(currency, pico, 1000), USED)["cost"] == shown


def test_programs_see_every_digit() -> None:
    assert cost_fields(AccruedCost("USD", 3_428_250_001, 1000), USED) == {
        "status": "Estimated",
        "amount": "0.003428250001",
        "currency": "USD",
    }


def test_a_call_costs_its_share_of_the_calls_whose_usage_is_known() -> None:
    assert cost_display(AccruedCost("USD", PICO, 1000), USED)["costPerCall"] == "~$0.333"


def test_a_part_without_a_price_is_counted_and_marked() -> None:
    cost = AccruedCost("USD", PICO, 900)
    fields = cost_fields(cost, USED)
    assert fields is not None
    assert fields["unpricedTokens"] == 100
    assert cost_display(cost, USED) == {"cost": "~$1.00?", "costPerCall": "~$0.333?"}


def test_where_nothing_has_a_price_there_is_no_amount() -> None:
    assert cost_fields(NO_COST, USED) == {"status": "Unpriced", "unpricedTokens": 1000}
    assert cost_display(NO_COST, USED) == {"cost": "?"}


def test_where_nothing_was_used_there_is_no_cost() -> None:
    assert cost_fields(NO_COST, TokenCounts()) is None
    assert cost_display(NO_COST, TokenCounts()) == {}
