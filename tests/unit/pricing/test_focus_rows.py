"""Rows of FOCUS: a quantity times its price is its cost, and all of them what was charged."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import UnpricedReason
from agentspec_usage.pricing.focus.columns import FocusRow
from agentspec_usage.pricing.focus.lines import adds_up
from agentspec_usage.pricing.focus.rows import rows_of
from agentspec_usage.pricing.focus.unpriced import unpriced_of
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.pricing.money import PICO
from agentspec_usage.pricing.rates import Rates, UnitPrices, scaled
from tests.unit.pricing.focus_usage import (
    EXPORT,
    NOVEMBER,
    SERIES,
    WHO,
    Entry,
    any_entries,
    any_part,
    any_prices,
    lawful_entries,
    reversed_entry,
    summed,
    unit_prices,
)

CLAUDE = Rates(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000)
"""$3, $15, $0.30 and $3.75 a million."""


def cost(rows: Iterable[FocusRow]) -> Fraction:
    return sum((Fraction(row.billed_cost) for row in rows), Fraction())


def charged(used: Iterable[DayUsage]) -> Fraction:
    return Fraction(sum(each.pico for each in used), PICO)


def test_each_type_of_tokens_has_a_row_at_its_own_price() -> None:
    # (504 * $3 + 123 * $3.75 + 97 * $15) / 1,000,000 = $0.00342825
    counts = TokenCounts(input=627, cache_write_unspecified=123, output=97, calls=1)
    rows = rows_of([Entry(counts, {}).charged(unit_prices(CLAUDE))], EXPORT)
    assert [
        (row.sku_meter, row.consumed_quantity, row.list_unit_price, row.billed_cost) for row in rows
    ] == [
        ("Cache Write Tokens", Decimal(123), Decimal("3.75"), Decimal("0.00046125")),
        ("Input Tokens", Decimal(504), Decimal(3), Decimal("0.001512")),
        ("Output Tokens", Decimal(97), Decimal(15), Decimal("0.001455")),
    ]
    assert cost(rows) == Fraction("0.00342825")


def test_a_row_says_who_used_what_and_when() -> None:
    series = SeriesKey("acme", "model-1-2026", region="eu", service_tier="flex", batch=True)
    prices = replace(unit_prices(CLAUDE), tiers=(replace(unit_prices(CLAUDE).tiers[0], above=200),))
    (row,) = rows_of([Entry(TokenCounts(output=97, calls=1), {}).charged(prices, series)], EXPORT)
    assert row.sub_account_id == "team-a"
    assert row.resource_id == "prod/team-a/planner"
    assert row.provider_name == "acme"
    assert row.region_id == "eu"
    assert row.x_model == "model-1-2026"
    assert row.tags is not None
    assert json.loads(row.tags) == {"cost_center": "cc-1", "team": "search"}
    assert (row.charge_period_start, row.charge_period_end) == (
        NOVEMBER.start,
        NOVEMBER.start + DAY_MS,
    )
    assert (row.billing_period_start, row.billing_period_end) == (NOVEMBER.start, NOVEMBER.end)
    assert row.sku_id == "acme/model:output"
    assert row.sku_price_id == (
        "acme/model:output;AboveInputTokens=200;Batch=true;Region=eu;ServiceTier=flex"
    )
    assert row.sku_price_details is not None
    assert json.loads(row.sku_price_details) == {
        "x_AboveInputTokens": "200",
        "x_Batch": "true",
        "x_Model": "model",
        "x_Region": "eu",
        "x_ServiceTier": "flex",
    }
    assert (row.x_ledger_batch, row.x_price_book, row.x_cost_status) == (7, "book 1", "Exact")


def test_a_contract_s_discount_lowers_what_is_billed_and_not_the_list_price() -> None:
    discounted = scaled(unit_prices(CLAUDE), Decimal("0.8"), "contract")
    (row,) = rows_of([Entry(TokenCounts(output=100, calls=1), {}).charged(discounted)], EXPORT)
    assert (row.list_unit_price, row.list_cost) == (Decimal(15), Decimal("0.0015"))
    assert (row.contracted_unit_price, row.billed_cost) == (Decimal(12), Decimal("0.0012"))
    assert row.contracted_cost == row.effective_cost == row.billed_cost


@pytest.mark.parametrize(
    ("unit", "meter", "pricing_unit", "price", "quantity"),
    [
        pytest.param("web_search", "Requests", "1000 Requests", "10", "0.007", id="requests"),
        pytest.param("pages", "Pages", "1000 Pages", "10", "0.007", id="pages"),
        pytest.param("seconds", "Seconds", "Seconds", "0.01", "7", id="seconds"),
    ],
)
def test_units_beside_tokens_have_rows_of_their_own(
    unit: str, meter: str, pricing_unit: str, price: str, quantity: str
) -> None:
    prices = unit_prices(CLAUDE, ((unit, PICO // 100, PICO // 100),))
    (row,) = rows_of([Entry(TokenCounts(calls=1), {unit: 7}).charged(prices)], EXPORT)
    assert (row.sku_meter, row.pricing_unit) == (meter, pricing_unit)
    assert row.consumed_quantity == 7
    assert (row.list_unit_price, row.pricing_quantity) == (Decimal(price), Decimal(quantity))
    assert row.billed_cost == Decimal("0.07")
    assert row.sku_id == f"acme/model:requests/{unit}"


def test_a_unit_that_is_called_like_a_token_type_is_no_token() -> None:
    prices = unit_prices(CLAUDE, (("output", 1, 1),))
    entry = Entry(TokenCounts(output=5, calls=1), {"output": 2}).charged(prices)
    meters = {row.sku_meter: row.consumed_quantity for row in rows_of([entry], EXPORT)}
    assert meters == {"Output Tokens": 5, "Requests": 2}


def test_a_fee_for_each_call_is_a_row_of_requests() -> None:
    prices = unit_prices(replace(CLAUDE, call=5 * PICO // 1000))
    (row,) = rows_of([Entry(TokenCounts(calls=3), {}).charged(prices)], EXPORT)
    assert (row.sku_id, row.consumed_quantity) == ("acme/model:requests", Decimal(3))
    assert row.billed_cost == Decimal("0.015")


def test_usage_that_differs_in_nothing_that_is_shown_is_one_row() -> None:
    entry = Entry(TokenCounts(output=5, calls=1), {}).charged(unit_prices(CLAUDE))
    embedding = replace(entry, series=replace(SERIES, operation="text_completion"))
    (row,) = rows_of([entry, embedding], EXPORT)
    assert row.consumed_quantity == 10


def test_usage_at_another_price_of_the_same_day_is_another_row() -> None:
    entry = Entry(TokenCounts(output=5, calls=1), {})
    dearer = replace(CLAUDE, output=16_000_000)
    rows = rows_of([entry.charged(unit_prices(CLAUDE)), entry.charged(unit_prices(dearer))], EXPORT)
    assert [row.list_unit_price for row in rows] == [15, 16]
    assert len({row.sku_price_id for row in rows}) == 1


def test_late_usage_of_a_closed_period_is_a_correction_of_the_day_it_was_used() -> None:
    entry = Entry(TokenCounts(output=5, calls=1), {}).charged(unit_prices(CLAUDE))
    late = replace(entry, day=NOVEMBER.start - DAY_MS, correction=True)
    before, now = rows_of([entry, late], EXPORT)
    assert (before.charge_class, before.charge_period_end) == ("Correction", NOVEMBER.start)
    assert before.billing_period_start == NOVEMBER.start
    assert now.charge_class is None


def test_what_was_taken_back_has_no_row() -> None:
    entry = Entry(TokenCounts(output=5, calls=1), {}).charged(unit_prices(CLAUDE))
    assert rows_of([entry, reversed_entry(entry)], EXPORT) == []


def test_an_estimate_in_it_makes_the_row_an_estimate() -> None:
    entry = Entry(TokenCounts(output=5, calls=1), {}).charged(unit_prices(CLAUDE))
    (row,) = rows_of([entry, replace(entry, estimated=1)], EXPORT)
    assert row.x_cost_status == "Estimated"


@pytest.mark.parametrize(
    ("sku", "provider"),
    [
        pytest.param("openai/gpt-5", "openai", id="the catalogue's guess"),
        pytest.param("*/llama-*", "internal", id="a price book's any provider"),
    ],
)
def test_a_provider_that_the_agent_did_not_name_is_the_price_s(sku: str, provider: str) -> None:
    entry = Entry(TokenCounts(output=5, calls=1), {})
    used = entry.charged(unit_prices(CLAUDE, sku=sku), SeriesKey("", "m"))
    assert rows_of([used], EXPORT)[0].provider_name == provider


def test_what_the_lines_do_not_explain_is_an_adjustment_without_a_quantity() -> None:
    entry = Entry(TokenCounts(output=5, calls=1), {}).charged(unit_prices(CLAUDE))
    adjustment, usage = rows_of([replace(entry, pico=entry.pico + 7)], EXPORT)
    assert adjustment.charge_category == "Adjustment"
    assert adjustment.billed_cost == adjustment.list_cost == Decimal("7E-12")
    assert adjustment.pricing_quantity is None
    assert usage.billed_cost == Decimal("0.000075")


def test_calls_whose_cached_tokens_are_audio_do_not_add_up_and_each_of_them_does() -> None:
    prices = unit_prices(replace(CLAUDE, audio_in=32_000_000))
    overlapping = Entry(TokenCounts(input=100, cache_read=80, audio_in=90, calls=1), {})
    plain = Entry(TokenCounts(input=100, audio_in=50, calls=1), {})
    entries = [overlapping.charged(prices), plain.charged(prices)]
    assert not adds_up(summed(entries))
    assert all(map(adds_up, entries))


def test_a_sum_of_both_signs_does_not_add_up() -> None:
    prices = unit_prices(Rates(input=0, output=0))
    used = Entry(TokenCounts(input=10, calls=1), {}).charged(prices)
    taken_back = reversed_entry(Entry(TokenCounts(output=10), {}).charged(prices))
    assert not adds_up(summed([used, taken_back]))


@given(lawful_entries, any_prices)
def test_calls_that_do_not_contradict_themselves_add_up(
    entries: list[Entry], prices: UnitPrices
) -> None:
    priced = [used for each in entries if (used := each.charged(prices)).prices is prices]
    assert not priced or adds_up(summed(priced))


@given(any_entries, any_prices)
def test_one_entry_always_adds_up_and_so_does_what_takes_it_back(
    entries: list[Entry], prices: UnitPrices
) -> None:
    for entry in entries:
        used = entry.charged(prices)
        assert adds_up(used)
        assert adds_up(reversed_entry(used))


@given(any_part())
def test_the_rows_cost_what_was_charged_to_the_last_digit(part: list[DayUsage]) -> None:
    rows = rows_of(part, EXPORT)
    for currency in ("USD", "EUR"):
        own = [
            each
            for each in part
            if isinstance(each.prices, UnitPrices) and each.prices.currency == currency
        ]
        assert cost(row for row in rows if row.billing_currency == currency) == charged(own)


@given(any_part())
def test_a_quantity_times_its_price_is_its_cost_to_the_last_digit(part: list[DayUsage]) -> None:
    for row in rows_of(part, EXPORT):
        if row.pricing_quantity is None:
            continue
        assert row.list_unit_price is not None
        assert row.contracted_unit_price is not None
        quantity = Fraction(row.pricing_quantity)
        assert quantity * Fraction(row.list_unit_price) == Fraction(row.list_cost)
        assert quantity * Fraction(row.contracted_unit_price) == Fraction(row.contracted_cost)


@given(any_part())
def test_every_token_is_in_a_row_or_said_to_have_no_price(part: list[DayUsage]) -> None:
    sums = [used for used in part if min(used.counts) >= 0 or max(used.counts) <= 0]
    in_rows = sum(
        row.consumed_quantity or 0 for row in rows_of(sums, EXPORT) if row.consumed_unit == "Tokens"
    )
    beside = sum(each.quantity for each in unpriced_of(sums) if each.meter.endswith("Tokens"))
    assert in_rows + beside == sum(used.counts[0] + used.counts[1] for used in sums)


@given(any_part())
def test_the_order_in_which_usage_comes_does_not_matter(part: list[DayUsage]) -> None:
    assert rows_of(part, EXPORT) == rows_of(list(reversed(part)), EXPORT)


def test_usage_without_a_price_has_no_row_and_is_said_beside() -> None:
    unpriced = DayUsage(
        NOVEMBER.start,
        WHO,
        SERIES,
        "book 1",
        UnpricedReason.SELF_HOSTED,
        TokenCounts(input=10, output=4, calls=3, unmetered_calls=1).as_tuple(),
        requests={"web_search": 2, "served_from_cache": 1},
    )
    assert rows_of([unpriced], EXPORT) == []
    assert [(each.reason, each.meter, each.quantity) for each in unpriced_of([unpriced])] == [
        (UnpricedReason.SELF_HOSTED, "Input Tokens", 10),
        (UnpricedReason.SELF_HOSTED, "Output Tokens", 4),
        (UnpricedReason.SELF_HOSTED, "Requests", 2),
        (UnpricedReason.UNMETERED, "Unmetered Calls", 1),
    ]


def test_a_part_without_a_price_is_said_beside_the_row_of_the_rest() -> None:
    prices = unit_prices(Rates(output=15_000_000))
    entry = Entry(TokenCounts(input=10, output=4, calls=1), {"web_search": 2}).charged(prices)
    (row,) = rows_of([entry], EXPORT)
    assert row.sku_meter == "Output Tokens"
    assert [(each.reason, each.meter, each.quantity) for each in unpriced_of([entry])] == [
        (UnpricedReason.NO_RATE, "Input Tokens", 10),
        (UnpricedReason.NO_RATE, "Requests", 2),
    ]
