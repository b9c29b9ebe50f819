"""The usage of whole UTC days by account, series and price, for the file of charges (FOCUS).

The kept sums of days are nearly that. What they do not have is read beside them, by indexes that
hold little else:

* what came late for a closed period, which is to be told apart and belongs to the day it was used;
* units beside tokens, which are in no sum;
* which calls were priced anew, whose units stay with their first price (``focus_moves``).

A sum that does not add up (``pricing.focus.lines``) is given item by item, each with what takes it
back. Everything is read at one moment and a day at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.pricing.focus.lines import adds_up
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.store.queries import LedgerPosition, UsageFilter
from agentspec_usage.store.sql.charging import money_of
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.focus_cells import Cell, Sum, day_of, requests_in
from agentspec_usage.store.sql.focus_moves import moves
from agentspec_usage.store.sql.focus_names import Names
from agentspec_usage.store.sql.journal import head_of, ledger_of
from agentspec_usage.store.sql.rollups import DAYS
from agentspec_usage.store.sql.sums import Condition, condition_of

__all__ = ["day_usage", "position"]

_COUNTS = ", ".join(COMPONENTS)

_ACCOUNTS = "SELECT account FROM accounts JOIN agents USING (agent) WHERE {condition}"

_KEPT = f"""
    SELECT account, series, price, milli, pico, estimated, {_COUNTS} FROM {DAYS}
    WHERE start = ? AND account IN ({{accounts}})"""

_LATE = f"""
    SELECT at, claimed_at, account, series, price, milli, pico, estimated, {_COUNTS} FROM items
    WHERE correction = 1 AND at >= ? AND at < ? AND account IN ({{accounts}})"""

_REQUESTS = """
    SELECT at, claimed_at, correction, account, series, price, requests FROM items
    WHERE requests IS NOT NULL AND at >= ? AND at < ? AND account IN ({accounts})"""

_ITEMS = f"""
    SELECT coalesce(corrects, item), at, claimed_at, correction, account, series, price, requests,
    milli, pico, estimated, {_COUNTS} FROM items
    WHERE at >= ? AND at < ? AND (account, series, price) IN (VALUES {{cells}})"""

_CELLS = 500
"""Sums that one statement takes apart."""


def position(connection: Connection) -> LedgerPosition:
    """Where the ledger stands."""
    ledger, _ = ledger_of(connection)
    return LedgerPosition(ledger, head_of(connection).batch)


def day_usage(connection: Connection, asked: UsageFilter) -> Iterator[Sequence[DayUsage]]:
    """The usage that is charged on each UTC day of ``asked``, which begins and ends with one."""
    condition, values = condition_of(UsageFilter(asked.span, asked.namespace, asked.agent_id))
    accounts = _ACCOUNTS.format(condition=condition), values
    names = Names(connection)
    moved = moves(connection, asked.span, accounts)
    for start in range(asked.span.start, asked.span.end, DAY_MS):
        day = Span(start, start + DAY_MS)
        cells = _cells(connection, day, accounts)
        for cell, more in moved.pop(start, {}).items():
            cells.setdefault(cell, Sum()).add(more.counts, more.requests)
        used = {cell: names.usage(cell, total) for cell, total in cells.items() if total}
        apart = [cell for cell, one in used.items() if not adds_up(one)]
        part = [one for cell, one in used.items() if cell not in set(apart)]
        part += _items(connection, day, {cell: cells[cell] for cell in apart}, names)
        if part:
            yield part


def _cells(connection: Connection, day: Span, accounts: Condition) -> dict[Cell, Sum]:
    """The sums of a day, with corrections apart and with units."""
    which, values = accounts
    cells: dict[Cell, Sum] = {}
    for account, series, price, milli, pico, estimated, *counts in connection.stream(
        _KEPT.format(accounts=which), (day.start, *values)
    ):
        total = Sum()
        total.add(counts, {}, money_of(milli, pico, "").pico, estimated)
        cells[Cell(day.start, account, series, price, 0)] = total
    times = (day.start, day.end, *values)
    for (
        at,
        claimed_at,
        account,
        series,
        price,
        milli,
        pico,
        estimated,
        *counts,
    ) in connection.stream(_LATE.format(accounts=which), times):
        late = Sum()
        late.add(counts, {}, money_of(milli, pico, "").pico, estimated)
        cells[Cell(day.start, account, series, price, 0)].take(late)
        cell = Cell(day_of(at, claimed_at, 1), account, series, price, 1)
        cells.setdefault(cell, Sum()).add(late.counts, {}, late.pico, late.estimated)
    for at, claimed_at, correction, account, series, price, requests in connection.stream(
        _REQUESTS.format(accounts=which), times
    ):
        cell = Cell(day_of(at, claimed_at, correction), account, series, price, correction)
        cells[cell].add([0] * len(COMPONENTS), requests_in(requests))
    return cells


def _items(
    connection: Connection, day: Span, apart: Mapping[Cell, Sum], names: Names
) -> Iterator[DayUsage]:
    """The sums ``apart`` item by item, and what they have beside their items: what moved."""
    cells = list(apart)
    for first in range(0, len(cells), _CELLS):
        chunk = cells[first : first + _CELLS]
        keys = {(cell.account, cell.series, cell.price) for cell in chunk}
        marks = ", ".join(["(?, ?, ?)"] * len(keys))
        values = [number for key in sorted(keys) for number in key]
        found: dict[tuple[Cell, int], Sum] = {}
        for (
            item,
            at,
            claimed_at,
            correction,
            account,
            series,
            price,
            requests,
            *rest,
        ) in connection.stream(_ITEMS.format(cells=marks), (day.start, day.end, *values)):
            cell = Cell(day_of(at, claimed_at, correction), account, series, price, correction)
            if cell in apart:
                milli, pico, estimated, *counts = rest
                money = money_of(milli, pico, "").pico
                one = found.setdefault((cell, item), Sum())
                one.add(counts, requests_in(requests), money, estimated)
                apart[cell].take(one)
        yield from (names.usage(cell, one) for (cell, _), one in found.items() if one)
    yield from (names.usage(cell, left) for cell, left in apart.items() if left)
