"""What the control plane charges, as a status shows it, reads it back and carries it on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.state import NO_COST, AccruedCost
from agentspec_usage.pricing.money import PICO
from agentspec_usage.status.charges import (
    NO_CHARGES,
    Charges,
    Growth,
    Period,
    charge_display,
    charge_fields,
    charges_of,
    charges_of_status,
    moved_on,
)
from agentspec_usage.wire.observed_answer import AgentSaid, CostSaid, PeriodSaid

NOW = 1_795_348_800_000
TODAY_ENDS, MONTH_ENDS = NOW + 3_600_000, NOW + 9 * 86_400_000

NOTHING = Growth(0, NO_COST)

amounts = st.integers(-(10**24), 10**24)
counts = st.integers(0, MAX_COUNT)
costs = st.builds(CostSaid, st.just("Unpriced"), st.just(0), st.just(""), counts) | st.builds(
    CostSaid, st.sampled_from(["Exact", "Estimated"]), amounts, st.just("EUR"), counts
)
periods = st.builds(
    Period, st.builds(PeriodSaid, counts, st.none() | costs), st.integers(0, 2 * NOW)
)
all_charges = st.builds(
    Charges, st.none() | costs, st.none() | periods, st.none() | periods, counts, counts
) | st.just(Charges(charged_as="research"))


def charges(cost: CostSaid) -> Charges:
    return Charges(
        cost, Period(PeriodSaid(10, cost), TODAY_ENDS), Period(PeriodSaid(90, cost), MONTH_ENDS)
    )


@given(all_charges)
def test_what_a_status_shows_is_read_back_as_it_was(shown: Charges) -> None:
    assert charges_of_status(charge_fields(shown)) == shown


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"cost": {"status": "Exact"}}, id="exact without an amount"),
        pytest.param({"cost": {"status": "Free"}}, id="another status"),
        pytest.param(
            {"cost": {"status": "Exact", "amount": "1e9", "currency": "USD"}}, id="a float"
        ),
        pytest.param({"month": {"tokens": 1}}, id="a month without an end"),
        pytest.param({"today": 5}, id="no object"),
    ],
)
def test_a_status_that_somebody_edited_says_nothing(usage: dict[str, Any]) -> None:
    assert charges_of_status(usage) == NO_CHARGES


@given(all_charges, st.integers(0, NOW))
def test_while_nothing_grows_only_the_end_of_a_day_or_month_changes_anything(
    shown: Charges, now: int
) -> None:
    after = moved_on(shown, NOTHING, now)
    assert (after.cost, after.tail_tokens) == (shown.cost, shown.tail_tokens)
    for was, became in ((shown.today, after.today), (shown.month, after.month)):
        assert became == (was if was is not None and now < was.ends else None)


def test_what_was_read_since_is_added_as_an_estimate() -> None:
    grown = Growth(1000, AccruedCost("USD", PICO, 1000))
    after = moved_on(charges(CostSaid("Exact", 2 * PICO, "USD")), grown, NOW)
    assert after.cost == CostSaid("Estimated", 3 * PICO, "USD")
    assert after.today is not None
    assert after.today.said == PeriodSaid(1010, after.cost)
    assert after.month is not None
    assert after.month.said == PeriodSaid(1090, after.cost)


@pytest.mark.parametrize(
    ("before", "grown", "after"),
    [
        pytest.param(
            CostSaid("Exact", PICO, "USD"),
            Growth(9, NO_COST),
            CostSaid("Exact", PICO, "USD", 9),
            id="without a price",
        ),
        pytest.param(
            CostSaid("Exact", PICO, "EUR"),
            Growth(9, AccruedCost("USD", PICO, 9)),
            CostSaid("Exact", PICO, "EUR", 9),
            id="in another currency",
        ),
        pytest.param(
            CostSaid("Unpriced", unpriced_tokens=5),
            Growth(9, AccruedCost("USD", PICO, 7)),
            CostSaid("Estimated", PICO, "USD", 7),
            id="the first with a price, and a part without",
        ),
    ],
)
def test_growth_without_a_price_in_the_currency_is_unpriced(
    before: CostSaid, grown: Growth, after: CostSaid
) -> None:
    assert moved_on(charges(before), grown, NOW).cost == after


def test_where_another_agent_is_charged_nothing_that_was_read_since_is_added() -> None:
    grown = Growth(1000, AccruedCost("USD", PICO, 1000))
    shown = Charges(charged_as="research")
    assert moved_on(shown, grown, NOW) == shown
    assert charge_fields(shown) == {"chargedAs": "research"}


def test_the_money_of_an_agent_that_is_charged_as_another_is_not_the_objects() -> None:
    month = PeriodSaid(90, CostSaid("Exact", PICO, "USD"))
    agent = AgentSaid("team", "bot", PeriodSaid(), month, month.cost, charged_as="research")
    shown = charges_of(agent, today_ends=TODAY_ENDS, month_ends=MONTH_ENDS)
    assert shown == Charges(charged_as="research")


def test_an_agent_that_was_never_charged_begins_with_its_growth() -> None:
    grown = Growth(1000, AccruedCost("USD", PICO, 1000))
    assert moved_on(NO_CHARGES, grown, NOW) == Charges(CostSaid("Estimated", PICO, "USD"))


def test_a_month_in_which_nothing_was_used_costs_nothing_in_the_currency_that_is_known() -> None:
    shown = Charges(CostSaid("Exact", PICO, "USD"), month=Period(PeriodSaid(), MONTH_ENDS))
    assert charge_display(shown, TokenCounts(5, calls=1)) == {
        "cost": "$1.00",
        "costPerCall": "$1.00",
        "month": "$0.00",
    }
    assert charge_display(Charges(month=shown.month), TokenCounts()) == {}
