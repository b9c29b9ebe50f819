"""One month, one file: CSV and Parquet have the same rows, as their readers see them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from arro3.io import read_parquet
from hypothesis import given, settings

from agentspec_usage.export.focus_file import FocusFormat, unpriced_in, write_focus
from agentspec_usage.export.focus_schema import focus_schema
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.focus.columns import COLUMNS, ColumnType
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.pricing.money import Money
from agentspec_usage.pricing.rates import Rates
from agentspec_usage.store.errors import StoreUnavailableError
from tests.unit.export.parquet_rows import rows_of_parquet
from tests.unit.pricing.focus_usage import EXPORT, Entry, any_part, unit_prices

TYPES = {column.name: column.type for column in COLUMNS}

CALL = Entry(TokenCounts(input=100, output=50, calls=1), {}).charged(
    unit_prices(Rates(input=3_000_000, output=15_000_000))
)


def file(kind: FocusFormat, *parts: Sequence[DayUsage]) -> bytes:
    out = io.BytesIO()
    write_focus(parts, EXPORT, kind, out)
    return out.getvalue()


def of_csv(content: bytes) -> list[dict[str, object]]:
    """The rows with their columns' types; an apostrophe that is not the text's own is gone."""
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
    return [{name: _typed(TYPES[name], text) for name, text in row.items()} for row in rows]


def _typed(type_: ColumnType, text: str) -> object:
    if not text:
        return None
    match type_:
        case ColumnType.DECIMAL:
            return Decimal(text)
        case ColumnType.INTEGER:
            return int(text)
        case ColumnType.DATETIME:
            return datetime.fromisoformat(text)
        case _:
            return text.removeprefix("'")


@settings(max_examples=30, deadline=None)
@given(any_part())
def test_both_formats_have_the_same_rows(part: list[DayUsage]) -> None:
    assert of_csv(file(FocusFormat.CSV, part)) == rows_of_parquet(file(FocusFormat.PARQUET, part))


def test_csv_is_as_rfc_4180_says() -> None:
    quoted = replace(CALL, series=SeriesKey("acme", 'a "model", of\r\ntwo lines'))
    content = file(FocusFormat.CSV, [quoted]).decode()
    header, _, rest = content.partition("\r\n")
    assert header == ",".join(column.name for column in COLUMNS)
    assert '"a ""model"", of\r\ntwo lines"' in rest
    assert content.endswith("\r\n")


def test_a_formula_is_no_formula_in_csv_and_a_negative_amount_stays_a_number() -> None:
    taken_back = replace(
        CALL,
        series=SeriesKey("acme", "=HYPERLINK(A1)"),
        counts=tuple(-count for count in CALL.counts),
        pico=-CALL.pico,
    )
    row = next(csv.DictReader(io.StringIO(file(FocusFormat.CSV, [taken_back]).decode())))
    assert row["x_Model"] == "'=HYPERLINK(A1)"
    assert row["BilledCost"] == "-0.0003"
    assert (
        rows_of_parquet(file(FocusFormat.PARQUET, [taken_back]))[0]["x_Model"] == "=HYPERLINK(A1)"
    )


def test_a_parquet_column_has_its_type_and_says_whether_it_may_be_null() -> None:
    schema = read_parquet(io.BytesIO(file(FocusFormat.PARQUET, [CALL]))).schema
    assert schema.names == [column.name for column in COLUMNS]
    assert [schema.field(column.name).nullable for column in COLUMNS] == [
        column.nullable for column in COLUMNS
    ]
    assert str(schema.field("BilledCost").type).startswith(
        "arro3.core.DataType<Decimal128(38, 12)>"
    )
    row = rows_of_parquet(file(FocusFormat.PARQUET, [CALL]))[0]
    assert row["ChargePeriodStart"] == datetime(2026, 11, 1, tzinfo=UTC)
    assert row["ListCost"] == Decimal("0.0003")


@pytest.mark.parametrize("kind", FocusFormat)
def test_parts_come_one_after_the_other(kind: FocusFormat) -> None:
    reader = {FocusFormat.CSV: of_csv, FocusFormat.PARQUET: rows_of_parquet}[kind]
    later = replace(CALL, day=CALL.day + 86_400_000)
    both = reader(file(kind, [CALL], [], [later]))
    assert both == reader(file(kind, [CALL])) + reader(file(kind, [later]))


@pytest.mark.parametrize("kind", FocusFormat)
def test_a_month_without_usage_is_a_file_without_rows(kind: FocusFormat) -> None:
    reader = {FocusFormat.CSV: of_csv, FocusFormat.PARQUET: rows_of_parquet}[kind]
    assert reader(file(kind)) == []


@pytest.mark.parametrize("kind", FocusFormat)
def test_what_fails_while_it_is_read_fails_the_file(kind: FocusFormat) -> None:
    def parts() -> Iterator[Sequence[DayUsage]]:
        yield [CALL]
        raise StoreUnavailableError("the disk is gone")

    with pytest.raises(StoreUnavailableError, match="the disk is gone"):
        write_focus(parts(), EXPORT, kind, io.BytesIO())


@settings(max_examples=30, deadline=None)
@given(any_part())
def test_what_is_told_of_a_file_is_what_it_has(part: list[DayUsage]) -> None:
    out = io.BytesIO()
    told = write_focus([part, part], EXPORT, FocusFormat.CSV, out)
    rows = of_csv(out.getvalue())
    assert told.rows == len(rows)
    sums: dict[object, Fraction] = {}
    for row in rows:
        billed = row["BilledCost"]
        assert isinstance(billed, Decimal)
        currency = row["BillingCurrency"]
        sums[currency] = sums.get(currency, Fraction()) + Fraction(billed)
    told_of = {money.currency: Fraction(money.amount) for money in told.billed}
    assert sums.items() <= told_of.items()
    assert not any(told_of[currency] for currency in told_of.keys() - sums.keys())
    assert told.unpriced == unpriced_in([part, part])


def test_the_sums_of_a_file_are_exact() -> None:
    large = replace(CALL, pico=CALL.pico + 10**40)
    out = io.BytesIO()
    told = write_focus([[large], [CALL]], EXPORT, FocusFormat.CSV, out)
    assert told.billed == (Money(2 * CALL.pico + 10**40, "USD"),)


def test_the_schema_defines_the_columns_of_the_file() -> None:
    schema = json.loads(json.dumps(focus_schema("1.0")))
    assert schema["FocusVersion"] == "1.2"
    header = file(FocusFormat.CSV).decode().strip().split(",")
    assert [column["ColumnName"] for column in schema["ColumnDefinition"]] == header


def test_without_the_extra_parquet_is_refused_with_the_line_that_installs_it() -> None:
    program = """
import io, sys
sys.modules["arro3"] = None
from agentspec_usage.errors import MissingExtraError
from agentspec_usage.export.focus_parquet import write_focus_parquet
try:
    write_focus_parquet([], io.BytesIO())
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'agentspec-usage[parquet]'" in done.stdout
