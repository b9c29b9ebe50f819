"""Pricing stored items again, a page at a time, each in one transaction.

What an item is charged is the sum of it and of all entries that correct it. It is compared with
what the present prices say of the counts that stand, at the time when it was used. Where they
differ, the whole is taken back and charged anew, so that the last charge alone says what an item
costs.

Counts go with their money: the reversal has them below zero under the old prices, the charge has
them under the new ones. So a sum by price, or by currency, has the tokens that are paid by it, and
what has no price (any more) is in the sum without one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS, TokenCounts
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.pricing.money import Money, by_currency
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.store.queries import Position, UsageFilter
from agentspec_usage.store.repricing import Repriced
from agentspec_usage.store.retention import PrunedError
from agentspec_usage.store.sql.charging import Charged, Charging, Priced, money_of, split
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import SERIES_COLUMNS, Dictionaries, Numbered
from agentspec_usage.store.sql.instances import InstanceRow
from agentspec_usage.store.sql.items import CALL_KINDS, Entry, NewItems, is_assumed
from agentspec_usage.store.sql.pruned import pruned_until
from agentspec_usage.store.sql.sums import condition_of

__all__ = ["reprice"]

_COUNTS = ", ".join(f"items.{name}" for name in COMPONENTS)
_SERIES = ", ".join(f"series.{name}" for name in SERIES_COLUMNS)
_CHARGED = (
    "items.price, prices.hash, prices.currency, items.milli, items.pico, items.priced, "
    "items.estimated"
)

_PAGE = f"""
    SELECT items.item, items.kind, items.at, items.claimed_at, items.correction, items.requests,
    items.account, accounts.hash,
    items.instance, instances.hash, items.series, series.hash,
    {_SERIES}, {_CHARGED}, {_COUNTS}
    FROM items JOIN accounts USING (account) JOIN agents USING (agent)
    JOIN instances USING (instance) JOIN series USING (series) JOIN prices USING (price)
    WHERE items.at >= ? AND items.at < ? AND (items.at, items.item) > (?, ?)
    AND items.kind IN ({", ".join(f"'{kind}'" for kind in CALL_KINDS)}) AND {{condition}}
    ORDER BY items.at, items.item LIMIT ?"""

_CORRECTIONS = f"""
    SELECT items.corrects, items.kind, {_CHARGED}, {_COUNTS}
    FROM items JOIN prices USING (price) WHERE items.corrects IN ({{marks}}) ORDER BY items.item"""

_AT_ONCE = 500
"""Items whose corrections are looked up with one statement."""


@dataclass(slots=True)
class _Standing:
    """An item, and the sum of it and of what corrects it.

    ``assumed`` is whether its price is an estimate at any prices; ``corrected_at`` is when a
    correction was used.
    """

    item: int
    assumed: bool
    at: int
    corrected_at: int | None
    requests: dict[str, int]
    account: Numbered
    instance: InstanceRow
    series: Numbered
    key: SeriesKey
    price: Numbered
    currency: str
    pico: int
    priced: int
    estimated: int
    counts: TokenCounts


def reprice(
    connection: Connection,
    dictionaries: Dictionaries,
    charging: Charging,
    asked: UsageFilter,
    now: int,
    *,
    after: Position | None,
    limit: int,
    dry: bool,
) -> Repriced:
    """Price the next ``limit`` items again, inside the transaction that is open."""
    until = pruned_until(connection)
    if asked.span.start < until:
        raise PrunedError(
            f"calls of before {to_rfc3339(until)} were dropped and cannot be priced again: "
            "expected a period that begins then or later"
        )
    new = NewItems(connection, dictionaries, charging, now)
    page = _page(connection, asked, after, limit)
    changed = 0
    differences: list[Money] = []
    for one in page:
        if not any(one.counts.as_tuple()):
            continue
        used_at = one.at if one.corrected_at is None else one.corrected_at
        priced = charging.priced(one.key, used_at, one.counts, one.requests)
        if one.assumed:
            priced = priced.assumed(one.counts.calls)
        if _is_same(one, priced):
            continue
        changed += 1
        differences += [Money(-one.pico, one.currency)] if one.currency else []
        differences += [Money(priced.pico, priced.currency)] if priced.currency else []
        if dry:
            continue
        for entry in _entries(new, one, charging.charged(connection, dictionaries, priced)):
            new.add_entry(entry)
    new.write()
    last = page[-1] if len(page) == limit else None
    return Repriced(
        len(page),
        changed,
        tuple(money for money in by_currency(differences) if money.pico),
        None if last is None else Position(last.at, last.item),
    )


def _is_same(one: _Standing, priced: Priced) -> bool:
    return (one.currency, one.pico, one.priced, one.estimated) == priced[2:]


def _entries(new: NewItems, one: _Standing, charged: Charged) -> Iterator[Entry]:
    back = Charged(*one.price, *split(Money(-one.pico)), -one.priced, -one.estimated)
    at, claimed_at, correction = new.dated(one.at, one.corrected_at)
    below = TokenCounts(*(-count for count in one.counts.as_tuple()))
    for kind, money, counts in (("reversal", back, below), ("charge", charged, one.counts)):
        yield Entry(
            account=one.account,
            instance=one.instance,
            series=one.series,
            charged=money,
            kind=kind,
            at=at,
            counts=counts,
            corrects=one.item,
            claimed_at=claimed_at,
            correction=correction,
        )


def _page(
    connection: Connection, asked: UsageFilter, after: Position | None, limit: int
) -> list[_Standing]:
    condition, values = condition_of(asked)
    start = after or Position(-1, -1)
    rows = connection.execute(
        _PAGE.format(condition=condition),
        (asked.span.start, asked.span.end, start.at, start.item, *values, limit),
    )
    page = [_standing(row) for row in rows]
    for first in range(0, len(page), _AT_ONCE):
        some = {one.item: one for one in page[first : first + _AT_ONCE]}
        marks = ", ".join("?" * len(some))
        for item, kind, *rest in connection.execute(
            _CORRECTIONS.format(marks=marks), tuple(some)
        ).fetchall():
            _correct(some[item], kind, rest)
    return page


def _standing(row: Sequence[Any]) -> _Standing:
    item, kind, at, claimed_at, correction, requests, *rest = row
    account, instance, series = Numbered(*rest[:2]), InstanceRow(*rest[2:4]), Numbered(*rest[4:6])
    key, rest = rest[6 : 6 + len(SERIES_COLUMNS)], rest[6 + len(SERIES_COLUMNS) :]
    price, hashed, currency, milli, pico, priced, estimated, *counts = rest
    named = dict(zip(SERIES_COLUMNS, key, strict=True))
    named["batch"] = bool(named["batch"])
    return _Standing(
        item,
        kind == "estimate" or is_assumed(claimed_at, correction),
        at,
        claimed_at if correction else None,
        json.loads(requests) if requests else {},
        account,
        instance,
        series,
        SeriesKey(**named),
        Numbered(price, hashed),
        currency,
        money_of(milli, pico, "").pico,
        priced,
        estimated,
        TokenCounts(*counts),
    )


def _correct(one: _Standing, kind: str, rest: Sequence[Any]) -> None:
    price, hashed, currency, milli, pico, priced, estimated, *counts = rest
    if kind == "charge":
        # What was there before was taken back whole, so this is all of it.
        one.price, one.currency = Numbered(price, hashed), currency
    added = zip(one.counts.as_tuple(), counts, strict=True)
    one.counts = TokenCounts(*(a + b for a, b in added))
    one.pico += money_of(milli, pico, "").pico
    one.priced += priced
    one.estimated += estimated
