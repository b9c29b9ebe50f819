"""The columns of the file, in the specification's order: by name, and our own (``x_``) after them.

Left out are the columns that are for what does not happen here: commitments, capacity reservations,
availability zones, a pricing currency beside the billing currency, invoices. A row is declared here
once; from it come the CSV's header, the Parquet schema and the schema that goes with the file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from enum import StrEnum
from types import NoneType
from typing import NewType, get_args, get_type_hints

__all__ = [
    "COLUMNS",
    "DIGITS",
    "FOCUS_VERSION",
    "Column",
    "ColumnType",
    "Document",
    "FocusRow",
    "Moment",
]

FOCUS_VERSION = "1.2"

DIGITS = 12
"""After the point of every Decimal column: amounts are whole numbers of 10^-12."""

Moment = NewType("Moment", int)
"""Milliseconds since the epoch, UTC."""

Document = NewType("Document", str)
"""A JSON object, as text."""


@dataclass(frozen=True, slots=True)
class FocusRow:
    """A charge: one type of tokens (or requests), of one agent and model, on one day."""

    billed_cost: Decimal
    billing_account_id: str
    billing_account_name: str | None
    billing_currency: str
    billing_period_end: Moment
    billing_period_start: Moment
    charge_category: str
    charge_class: str | None
    charge_description: str
    charge_frequency: str
    charge_period_end: Moment
    charge_period_start: Moment
    consumed_quantity: Decimal | None
    consumed_unit: str | None
    contracted_cost: Decimal
    contracted_unit_price: Decimal | None
    effective_cost: Decimal
    invoice_issuer_name: str
    list_cost: Decimal
    list_unit_price: Decimal | None
    pricing_category: str | None
    pricing_quantity: Decimal | None
    pricing_unit: str | None
    provider_name: str
    publisher_name: str
    region_id: str | None
    region_name: str | None
    resource_id: str
    resource_name: str
    resource_type: str
    service_category: str
    service_name: str
    service_subcategory: str
    sku_id: str | None
    sku_meter: str | None
    sku_price_details: Document | None
    sku_price_id: str | None
    sub_account_id: str
    sub_account_name: str
    tags: Document | None
    x_cost_status: str
    x_ledger_batch: int | None
    x_model: str | None
    x_price_book: str


class ColumnType(StrEnum):
    """The specification's data types, as a schema names them."""

    STRING = "STRING"
    DECIMAL = "DECIMAL"
    INTEGER = "INTEGER"
    DATETIME = "DATETIME"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the file, the field of ``FocusRow`` that it shows, and its type."""

    name: str
    field: str
    type: ColumnType
    nullable: bool


_TYPES: dict[object, ColumnType] = {
    str: ColumnType.STRING,
    Decimal: ColumnType.DECIMAL,
    int: ColumnType.INTEGER,
    Moment: ColumnType.DATETIME,
    Document: ColumnType.JSON,
}


def _column(field: str, hint: object) -> Column:
    kinds = get_args(hint) or (hint,)
    prefix, words = ("x_", field[2:]) if field.startswith("x_") else ("", field)
    name = prefix + "".join(word.capitalize() for word in words.split("_"))
    return Column(name, field, _TYPES[kinds[0]], NoneType in kinds)


_HINTS = get_type_hints(FocusRow)

COLUMNS = tuple(_column(field.name, _HINTS[field.name]) for field in fields(FocusRow))
