"""The rules of FOCUS 1.2 that a file of charges can be held against, as a table.

Source: FOCUS specification 1.2, https://focus.finops.org/focus-specification/v1-2/ . A rule's
``section`` is the column or attribute of the specification that has it. What a file cannot show (an
invoice that matches, a price list that can be looked up) is not here.

A file is checked as its readers see it: CSV text, NULL an empty field.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from tests.contract.focus_1_2_columns import (
    COLUMN_RULES,
    DECIMAL,
    JSON,
    MOMENT,
    PRESENT_WHEN,
)

Row = Mapping[str, str | None]
Relation = tuple[str, str, Callable[[Row], bool]]
"""Of the columns of a row: section, rule, whether it holds."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a file breaks: in which line (the header is 1), or in the file as a whole."""

    section: str
    rule: str
    line: int | None = None


_NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_UNIT = re.compile(r"(\d+ )?[A-Z][A-Za-z]*(-[A-Z][a-z]+)?(/(\d+ )?[A-Z][a-z]+)?")
_RULES = {rule.name: rule for rule in COLUMN_RULES}


def violations(text: str) -> list[Violation]:
    """Every rule that the file breaks."""
    header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    found = list(_columns(header))
    rows = [
        {name: value or None for name, value in zip(header, line, strict=True)} for line in lines
    ]
    for line, row in enumerate(rows, 2):
        found += [Violation(*broken, line) for broken in (*_contents(row), *_relations(row))]
    found += [Violation(*broken) for broken in _dataset(rows)]
    return found


def _columns(header: Sequence[str]) -> Iterator[Violation]:
    own = [name.startswith("x_") for name in header]
    if own != sorted(own):
        yield Violation("Column Handling", "custom columns are listed after all FOCUS columns")
    if len(set(header)) < len(header):
        yield Violation("Column Handling", "a column is present once")
    for name in header:
        if not re.fullmatch(r"(x_)?([A-Z][a-z]+)+", name):
            yield Violation("Column Handling", "column IDs are in Pascal case")
        if not name.startswith("x_") and name not in _RULES:
            yield Violation("Column Handling", "custom columns are prefixed with x_")
    for rule in COLUMN_RULES:
        if rule.name not in header and (rule.level == "Mandatory" or rule.name in PRESENT_WHEN):
            yield Violation(rule.name, "is present")


def _contents(row: Row) -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        rule = _RULES.get(name)
        if value is None:
            if rule is not None and not rule.nulls:
                yield name, "is not null"
            continue
        if not value.strip():
            yield "String Handling", "is not empty and not spaces alone"
        if rule is None:
            continue
        if rule.allowed and value not in rule.allowed:
            yield name, "is one of the allowed values"
        if rule.type == DECIMAL:
            if not _NUMBER.fullmatch(value):
                yield "Numeric Format", "is a plain number"
            elif rule.least is not None and Fraction(value) < rule.least:
                yield name, "is not negative"
        if rule.type == MOMENT and not _is_moment(value):
            yield "Date/Time Format", "is YYYY-MM-DDTHH:mm:ssZ"
        if rule.type == JSON and not _is_flat_object(value):
            yield "Key-Value Format", "is a JSON object of numbers, strings, booleans and nulls"


def _is_moment(value: str) -> bool:
    try:
        return bool(_MOMENT.fullmatch(value) and datetime.fromisoformat(value))
    except ValueError:
        return False


def _is_flat_object(value: str) -> bool:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError(value)
        return dict(pairs)

    try:
        found = json.loads(value, object_pairs_hook=unique)
    except ValueError:
        return False
    return isinstance(found, dict) and not any(
        isinstance(each, dict | list) for each in found.values()
    )


def _is_usage(row: Row) -> bool:
    return row["ChargeCategory"] in ("Usage", "Purchase") and row["ChargeClass"] != "Correction"


def _never_for_tax(name: str) -> Relation:
    def holds(row: Row) -> bool:
        if row["ChargeCategory"] == "Tax":
            return row[name] is None
        return row[name] is not None or not _is_usage(row)

    return name, "is null for a tax, and not null for a usage or purchase but a correction", holds


def _both(name: str, other: str) -> Relation:
    return (
        name,
        f"is null when {other} is null, and not null when it is not",
        lambda row: (row[name] is None) == (row[other] is None),
    )


def _unit(name: str) -> Relation:
    return (
        "Unit Format",
        f"{name} is a quantity and capitalised plural units",
        lambda row: _UNIT.fullmatch(row[name] or "Units") is not None,
    )


def _product(price: str, cost: str) -> Relation:
    def holds(row: Row) -> bool:
        quantity, unit_price, amount = row["PricingQuantity"], row[price], row[cost]
        if quantity is None or unit_price is None or row["ChargeClass"] == "Correction":
            return True
        return amount is not None and Fraction(quantity) * Fraction(unit_price) == Fraction(amount)

    return cost, f"is the product of {price} and PricingQuantity", holds


def _without_price(price: str, cost: str) -> Relation:
    return (
        cost,
        f"matches BilledCost when {price} is null and the charge is unrelated to others",
        lambda row: (
            row[price] is not None
            or row["ChargeCategory"] == "Tax"
            or row["ChargeClass"] == "Correction"
            or row[cost] == row["BilledCost"]
        ),
    )


RELATIONS: tuple[Relation, ...] = (
    (
        "Currency Format",
        "is a three-letter alphabetic code",
        lambda row: bool(re.fullmatch("[A-Z]{3}", row["BillingCurrency"] or "")),
    ),
    (
        "BillingPeriodEnd",
        "is the exclusive end of the billing period",
        lambda row: (row["BillingPeriodStart"] or "") < (row["BillingPeriodEnd"] or ""),
    ),
    (
        "ChargePeriodEnd",
        "is the exclusive end of the charge period",
        lambda row: (row["ChargePeriodStart"] or "") < (row["ChargePeriodEnd"] or ""),
    ),
    (
        "ChargeClass",
        "is Correction when the charge is of an earlier billing period",
        lambda row: (
            row["ChargeClass"] == "Correction"
            or (row["BillingPeriodStart"] or "") <= (row["ChargePeriodStart"] or "")
        ),
    ),
    (
        "ConsumedQuantity",
        "is null when the charge is no usage, and not null for usage that is no correction",
        lambda row: (
            row["ConsumedQuantity"] is None
            if row["ChargeCategory"] != "Usage"
            else row["ConsumedQuantity"] is not None or row["ChargeClass"] == "Correction"
        ),
    ),
    _both("ConsumedUnit", "ConsumedQuantity"),
    _both("PricingUnit", "PricingQuantity"),
    _unit("ConsumedUnit"),
    _unit("PricingUnit"),
    _never_for_tax("ContractedUnitPrice"),
    _never_for_tax("ListUnitPrice"),
    _never_for_tax("PricingCategory"),
    _never_for_tax("PricingQuantity"),
    _never_for_tax("SkuId"),
    _never_for_tax("SkuPriceId"),
    _product("ListUnitPrice", "ListCost"),
    _product("ContractedUnitPrice", "ContractedCost"),
    _without_price("ListUnitPrice", "ListCost"),
    _without_price("ContractedUnitPrice", "ContractedCost"),
    (
        "EffectiveCost",
        "matches BilledCost when the charge is neither usage, purchase nor tax",
        lambda row: (
            row["ChargeCategory"] in ("Usage", "Purchase", "Tax")
            or row["EffectiveCost"] == row["BilledCost"]
        ),
    ),
    (
        "ChargeFrequency",
        "is not Usage-Based for a purchase",
        lambda row: (
            (row["ChargeCategory"], row.get("ChargeFrequency")) != ("Purchase", "Usage-Based")
        ),
    ),
    _both("RegionName", "RegionId"),
    _both("ResourceType", "ResourceId"),
    _both("SubAccountName", "SubAccountId"),
    (
        "ResourceName",
        "is null when ResourceId is null, and does not duplicate it",
        lambda row: (
            row["ResourceName"] is None or row["ResourceId"] not in (None, row["ResourceName"])
        ),
    ),
    (
        "SkuMeter",
        "is null when SkuId is null",
        lambda row: row["SkuMeter"] is None or row["SkuId"] is not None,
    ),
    (
        "SkuPriceDetails",
        "is null when SkuPriceId is null",
        lambda row: row["SkuPriceDetails"] is None or row["SkuPriceId"] is not None,
    ),
    (
        "SkuPriceDetails",
        "has keys of FOCUS or such that begin with x_",
        lambda row: (
            not _is_flat_object(row["SkuPriceDetails"] or "")
            or all(key.startswith("x_") for key in json.loads(row["SkuPriceDetails"] or ""))
        ),
    ),
    (
        "ServiceSubcategory",
        "has the one parent category of the table",
        lambda row: row["ServiceCategory"] == "AI and Machine Learning",
    ),
)


def _relations(row: Row) -> Iterator[tuple[str, str]]:
    for section, rule, holds in RELATIONS:
        try:
            if not holds(row):
                yield section, rule
        except KeyError as missing:
            yield section, f"{rule}: there is no column {missing}"


def _dataset(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    for name, other, rule in (
        ("SkuPriceId", "SkuId", "has one and only one parent SkuId"),
        ("SkuId", "SkuMeter", "has one SkuMeter"),
        ("SkuPriceId", "SkuPriceDetails", "has the same SkuPriceDetails in every charge"),
        ("ServiceName", "ServiceCategory", "has one and only one ServiceCategory"),
        ("ServiceName", "ServiceSubcategory", "has one ServiceSubcategory"),
        ("SubAccountId", "SubAccountName", "has one name"),
    ):
        pairs = {(row.get(name), row.get(other)) for row in rows if row.get(name) is not None}
        if len(pairs) > len({key for key, _ in pairs}):
            yield name, rule
