"""Sums of days as rows of FOCUS: what each type of tokens was, and what was charged for it.

Two laws hold to the last digit. A row's quantity times its unit price is its cost; and the billed
costs of a file are what the statement of the same month says. Where a sum's lines do not come to
what was charged (``lines``), the difference is a row of its own, an adjustment: it has no quantity,
so the first law is silent on it, and the second holds.

Rows that differ in nothing that the file shows are one. What has no price has no row: ``unpriced``
has it.

A SKU is a model and a type of tokens; its SKU price is that in one context (service tier, region,
batch, size of the call), which stays the same whatever the price is. A model's maker is not known
from its name, so the provider is the publisher too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple

from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.book import UnpricedReason
from agentspec_usage.pricing.charge import ChargeStatus
from agentspec_usage.pricing.focus.columns import DIGITS, Document, FocusRow, Moment
from agentspec_usage.pricing.focus.lines import lines_of
from agentspec_usage.pricing.focus.meters import Meter, meter_of, suffix_of
from agentspec_usage.pricing.focus.usage import Attribution, DayUsage
from agentspec_usage.pricing.rates import UnitPrices

__all__ = ["Export", "rows_of"]

INTERNAL = "internal"
"""Who provides a model that only a price book of one's own knows, without naming a provider."""


@dataclass(frozen=True, slots=True)
class Export:
    """What is the same in every row.

    ``account`` identifies who is billed: the ledger. ``cluster`` is "" where it has no name.
    ``batch`` is the newest one of the ledger that the sums contain.
    """

    month: Span
    account: str
    cluster: str = ""
    batch: int | None = None


class _Sku(NamedTuple):
    """``context`` is what chooses among the prices of one model and type."""

    name: str
    suffix: str
    context: tuple[tuple[str, str], ...]


_NO_SKU = _Sku("", "", ())
"""Of what was charged beside the lines."""


class _Key(NamedTuple):
    """What a row shows beside its sums, in the order of the file."""

    day: int
    who: Attribution
    provider: str
    model: str
    region: str
    sku: _Sku
    currency: str
    catalogue: str
    rate: int
    list_rate: int
    correction: bool


@dataclass(slots=True)
class _Sum:
    meter: Meter | None
    quantity: int = 0
    pico: int = 0
    estimated: bool = False


def rows_of(used: Iterable[DayUsage], export: Export) -> list[FocusRow]:
    """The rows of what was charged, in a fixed order."""
    sums: dict[_Key, _Sum] = {}
    for each in used:
        if not isinstance(each.prices, UnpricedReason):
            _add(sums, each, each.prices)
    return [
        _row(key, total, export)
        for key, total in sorted(sums.items(), key=itemgetter(0))
        if total.quantity or total.pico
    ]


def _add(sums: dict[_Key, _Sum], used: DayUsage, prices: UnitPrices) -> None:
    context = _context(used.series, prices.tiers[0].above)
    left = used.pico
    for line in lines_of(used):
        if line.rate is None or line.list_rate is None:
            continue
        left -= line.quantity * line.rate
        sku = _Sku(prices.sku, suffix_of(line.type), context)
        key = _key(used, prices, sku, line.rate, line.list_rate)
        total = sums.setdefault(key, _Sum(meter_of(line.type)))
        total.quantity += line.quantity
        total.estimated |= bool(used.estimated)
    if left:
        total = sums.setdefault(_key(used, prices, _NO_SKU, 0, 0), _Sum(None))
        total.pico += left
        total.estimated |= bool(used.estimated)


def _key(used: DayUsage, prices: UnitPrices, sku: _Sku, rate: int, list_rate: int) -> _Key:
    series = used.series
    return _Key(
        used.day,
        used.attribution,
        series.provider or _provider(prices.sku),
        series.model,
        series.region,
        sku,
        prices.currency,
        used.catalogue,
        rate,
        list_rate,
        used.correction,
    )


def _provider(sku: str) -> str:
    name = sku.partition("/")[0]
    return INTERNAL if "*" in name or not name else name


def _context(series: SeriesKey, above: int) -> tuple[tuple[str, str], ...]:
    named = {
        "AboveInputTokens": str(above) if above else "",
        "Batch": "true" if series.batch else "",
        "Region": series.region,
        "ServiceTier": series.service_tier,
    }
    return tuple((name, value) for name, value in named.items() if value)


def _row(key: _Key, total: _Sum, export: Export) -> FocusRow:
    meter, sku, who = total.meter, key.sku, key.who
    billed = total.pico + total.quantity * key.rate
    listed = total.pico + total.quantity * key.list_rate
    cost, list_cost = _decimal(billed, DIGITS), _decimal(listed, DIGITS)
    digits = meter.digits if meter else 0
    price = _decimal(key.rate, DIGITS - digits) if meter else None
    list_price = _decimal(key.list_rate, DIGITS - digits) if meter else None
    sku_id = f"{sku.name}:{sku.suffix}" if meter else None
    return FocusRow(
        billed_cost=cost,
        billing_account_id=export.account,
        billing_account_name=export.cluster or None,
        billing_currency=key.currency,
        billing_period_end=Moment(export.month.end),
        billing_period_start=Moment(export.month.start),
        charge_category="Usage" if meter else "Adjustment",
        charge_class="Correction" if key.correction else None,
        charge_description=_description(key, meter, price),
        charge_frequency="Usage-Based",
        charge_period_end=Moment(key.day + DAY_MS),
        charge_period_start=Moment(key.day),
        consumed_quantity=Decimal(total.quantity) if meter else None,
        consumed_unit=meter.unit if meter else None,
        contracted_cost=cost,
        contracted_unit_price=price,
        effective_cost=cost,
        invoice_issuer_name=key.provider,
        list_cost=list_cost,
        list_unit_price=list_price,
        pricing_category="Standard" if meter else None,
        pricing_quantity=_decimal(total.quantity, digits) if meter else None,
        pricing_unit=meter.pricing_unit if meter else None,
        provider_name=key.provider,
        publisher_name=key.provider,
        region_id=key.region or None,
        region_name=key.region or None,
        resource_id="/".join(part for part in (export.cluster, who.namespace, who.agent) if part),
        resource_name=who.agent,
        resource_type="Agent",
        service_category="AI and Machine Learning",
        service_name=key.provider,
        service_subcategory="Generative AI",
        sku_id=sku_id,
        sku_meter=meter.name if meter else None,
        sku_price_details=_details(sku) if meter else None,
        sku_price_id=_price_id(sku_id, sku) if sku_id else None,
        sub_account_id=who.namespace,
        sub_account_name=who.namespace,
        tags=_tags(who),
        x_cost_status=str(ChargeStatus.ESTIMATED if total.estimated else ChargeStatus.EXACT),
        x_ledger_batch=export.batch,
        x_model=key.model or None,
        x_price_book=key.catalogue,
    )


def _description(key: _Key, meter: Meter | None, price: Decimal | None) -> str:
    what = f"{key.model or key.sku.name} of {key.provider}"
    if meter is None or price is None:
        return f"Difference between what calls of {what} were charged and the prices of their sum"
    return (
        f"{meter.name} of {what} at {price.normalize():f} {key.currency} per {meter.pricing_unit}"
    )


def _price_id(sku_id: str, sku: _Sku) -> str:
    return ";".join((sku_id, *(f"{name}={value}" for name, value in sku.context)))


@lru_cache(maxsize=4096)
def _details(sku: _Sku) -> Document:
    model = sku.name.partition("/")[2] or sku.name
    properties = {"x_Model": model, **{f"x_{name}": value for name, value in sku.context}}
    return Document(json.dumps(properties, ensure_ascii=False, sort_keys=True))


@lru_cache(maxsize=4096)
def _tags(who: Attribution) -> Document | None:
    tags = {
        name: value
        for name, value in (("cost_center", who.cost_center), ("team", who.team))
        if value
    }
    return Document(json.dumps(tags, ensure_ascii=False)) if tags else None


def _decimal(value: int, digits: int) -> Decimal:
    """``value`` times 10^-``digits``, exactly: a context's precision rounds no constructor."""
    return Decimal(f"{value}E-{digits}")
