"""How a cost is shown."""

from __future__ import annotations

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.state import NO_COST, AccruedCost
from agentspec_usage.pricing.money import PICO
from agentspec_usage.status.cost import cost_fields, cost_of, cost_per_call_text, cost_text
from agentspec_usage.wire.observed_answer import CostSaid

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
        pytest.param(-PICO // 2, "USD", "~-$0.50", id="a month of corrections"),
    ],
)
def test_people_see_an_amount_of_a_few_digits(pico: int, currency: str, shown: str) -> None:
    assert cost_text(CostSaid("Estimated", pico, currency)) == shown


@pytest.mark.parametrize(
    ("cost", "shown"),
    [
        pytest.param(CostSaid("Exact", PICO, "USD"), "$1.00", id="final"),
        pytest.param(CostSaid("Estimated", PICO, "USD"), "~$1.00", id="an estimate"),
        pytest.param(CostSaid("Exact", PICO, "USD", 5), "$1.00?", id="a part has no price"),
        pytest.param(CostSaid("Estimated", PICO, "USD", 5), "~$1.00?", id="both"),
        pytest.param(CostSaid("Unpriced", unpriced_tokens=5), "?", id="nothing has a price"),
    ],
)
def test_an_amount_bears_its_doubts(cost: CostSaid, shown: str) -> None:
    assert cost_text(cost) == shown


def test_programs_see_every_digit() -> None:
    cost = cost_of(AccruedCost("USD", 3_428_250_001, 1000), USED)
    assert cost is not None
    assert cost_fields(cost) == {
        "status": "Estimated",
        "amount": "0.003428250001",
        "currency": "USD",
    }


def test_a_call_costs_its_share_of_the_calls_whose_usage_is_known() -> None:
    assert cost_per_call_text(CostSaid("Estimated", PICO, "USD"), USED) == "~$0.333"


@pytest.mark.parametrize(
    ("cost", "counts"),
    [
        pytest.param(CostSaid("Exact", PICO, "USD"), TokenCounts(5), id="no call is known"),
        pytest.param(CostSaid("Unpriced"), USED, id="nothing has a price"),
    ],
)
def test_without_calls_or_a_price_there_is_no_cost_per_call(
    cost: CostSaid, counts: TokenCounts
) -> None:
    assert cost_per_call_text(cost, counts) is None


def test_a_part_without_a_price_is_counted() -> None:
    cost = cost_of(AccruedCost("USD", PICO, 900), USED)
    assert cost == CostSaid("Estimated", PICO, "USD", 100)
    assert cost_fields(cost)["unpricedTokens"] == 100


def test_where_nothing_has_a_price_there_is_no_amount() -> None:
    cost = cost_of(NO_COST, USED)
    assert cost is not None
    assert cost_fields(cost) == {"status": "Unpriced", "unpricedTokens": 1000}


def test_where_nothing_was_used_there_is_no_cost() -> None:
    assert cost_of(NO_COST, TokenCounts()) is None
