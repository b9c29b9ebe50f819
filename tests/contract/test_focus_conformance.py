"""A file of charges keeps the rules of FOCUS 1.2, whatever was used."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given

from agentspec_usage.export.focus_csv import write_focus_csv
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.pricing.focus.columns import COLUMNS
from agentspec_usage.pricing.focus.rows import rows_of
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.pricing.rates import Rates
from tests.contract.focus_1_2 import Violation, violations
from tests.contract.focus_1_2_columns import COLUMN_RULES
from tests.unit.pricing.focus_usage import EXPORT, Entry, any_part, unit_prices


def written(part: list[DayUsage]) -> str:
    out = io.BytesIO()
    write_focus_csv([rows_of(part, EXPORT)], out)
    return out.getvalue().decode()


def changed(text: str, changes: dict[str, str]) -> str:
    """The file with other values in its first row."""
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    rows[0].update(changes)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


SAMPLE = written(
    [
        Entry(TokenCounts(input=100, cache_read=40, output=50, calls=1), {}).charged(
            unit_prices(Rates(input=3_000_000, output=15_000_000, cache_read=300_000))
        )
    ]
)


@given(any_part())
def test_any_usage_makes_a_file_that_keeps_every_rule(part: list[DayUsage]) -> None:
    assert violations(written(part)) == []


def test_a_file_without_rows_keeps_every_rule() -> None:
    assert violations(written([])) == []


def test_columns_may_be_null_only_where_the_rules_let_them() -> None:
    rules = {rule.name: rule for rule in COLUMN_RULES}
    ours = {column.name: column for column in COLUMNS if not column.name.startswith("x_")}
    assert {name for name, column in ours.items() if column.nullable and not rules[name].nulls} == (
        set()
    )


@pytest.mark.parametrize(
    ("changes", "section"),
    [
        pytest.param({"BilledCost": ""}, "BilledCost", id="null where null is not allowed"),
        pytest.param({"ProviderName": " "}, "String Handling", id="spaces alone"),
        pytest.param({"BilledCost": "+1"}, "Numeric Format", id="sign of a positive number"),
        pytest.param({"BilledCost": "1,000"}, "Numeric Format", id="thousands separator"),
        pytest.param({"ListUnitPrice": "-3"}, "ListUnitPrice", id="price below zero"),
        pytest.param({"ListCost": "0.5"}, "ListCost", id="list cost that is no product"),
        pytest.param({"ContractedCost": "0.5"}, "ContractedCost", id="contracted cost likewise"),
        pytest.param({"PricingQuantity": ""}, "PricingQuantity", id="usage without a quantity"),
        pytest.param({"ConsumedQuantity": ""}, "ConsumedQuantity", id="nothing consumed"),
        pytest.param({"ConsumedUnit": ""}, "ConsumedUnit", id="quantity without a unit"),
        pytest.param({"PricingUnit": "per million"}, "Unit Format", id="free text as a unit"),
        pytest.param({"BillingCurrency": "dollars"}, "Currency Format", id="a currency's name"),
        pytest.param(
            {"BillingPeriodEnd": "2026-10-01T00:00:00Z"}, "BillingPeriodEnd", id="end before start"
        ),
        pytest.param(
            {"ChargePeriodStart": "2026-11-01 00:00:00"}, "Date/Time Format", id="no T and no Z"
        ),
        pytest.param(
            {"ChargePeriodStart": "2026-10-31T00:00:00Z"}, "ChargeClass", id="unmarked correction"
        ),
        pytest.param({"ChargeClass": "Late"}, "ChargeClass", id="value of our own"),
        pytest.param({"ChargeCategory": "Tax"}, "SkuId", id="tax with a SKU"),
        pytest.param({"ServiceCategory": "AI"}, "ServiceCategory", id="category of our own"),
        pytest.param({"SkuPriceId": "acme/model:output"}, "SkuPriceId", id="price of two SKUs"),
        pytest.param({"SkuId": ""}, "SkuMeter", id="meter without a SKU"),
        pytest.param({"SkuPriceDetails": "{"}, "Key-Value Format", id="broken JSON"),
        pytest.param({"SkuPriceDetails": '{"x_A": [1]}'}, "Key-Value Format", id="nested JSON"),
        pytest.param({"Tags": '{"a": 1, "a": 2}'}, "Key-Value Format", id="a key twice"),
        pytest.param({"SkuPriceDetails": '{"Model": "m"}'}, "SkuPriceDetails", id="key without x_"),
        pytest.param({"RegionId": "eu"}, "RegionName", id="region without a name"),
        pytest.param({"ResourceType": ""}, "ResourceType", id="resource without a type"),
        pytest.param(
            {"ResourceName": "prod/team-a/planner"}, "ResourceName", id="name that is the id"
        ),
    ],
)
def test_a_file_that_breaks_a_rule_is_found(changes: dict[str, str], section: str) -> None:
    assert section in {broken.section for broken in violations(changed(SAMPLE, changes))}


@pytest.mark.parametrize(
    ("old", "new", "violation"),
    [
        pytest.param(
            "BilledCost,", "x_First,", Violation("BilledCost", "is present"), id="mandatory column"
        ),
        pytest.param(
            "SkuMeter,", "x_Meter,", Violation("SkuMeter", "is present"), id="conditional column"
        ),
        pytest.param(
            "x_Model",
            "Model",
            Violation("Column Handling", "custom columns are prefixed with x_"),
            id="custom column without a prefix",
        ),
        pytest.param(
            "x_Model",
            "x_SKU",
            Violation("Column Handling", "column IDs are in Pascal case"),
            id="capitals",
        ),
    ],
)
def test_a_header_that_breaks_a_rule_is_found(old: str, new: str, violation: Violation) -> None:
    assert violation in violations(SAMPLE.replace(old, new, 1))
