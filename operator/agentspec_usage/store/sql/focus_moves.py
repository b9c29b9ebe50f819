"""Calls that were priced anew: all that they used follows their money, from one price's sum to
another's.

A new price is a reversal under the old price, and a charge of the other amount. Both have the
tokens, but the units beside tokens are in the item alone, under its first price; and in journals of
earlier versions so are the tokens. Read in the order in which they were written, the entries of one
item say what is to be moved: a charge takes what stands to its own price, and a reversal that takes
counts back takes them from where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from agentspec_usage.metering.counts import COMPONENTS, ZERO
from agentspec_usage.metering.periods import DAY_MS, Span
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.focus_cells import Cell, Sum, day_of, requests_in
from agentspec_usage.store.sql.sums import Condition

__all__ = ["Moves", "moves"]

Moves = dict[int, dict[Cell, Sum]]
"""What is to be added to each cell, by the day that the entries are summed up by."""

_ENTRIES = f"""
    SELECT coalesce(entry.corrects, entry.item) AS root, entry.item AS number, entry.kind, entry.at,
    entry.claimed_at, entry.correction, entry.account, entry.series, entry.price, entry.requests,
    {", ".join(f"entry.{name}" for name in COMPONENTS)}
    FROM items AS entry WHERE entry.account IN ({{accounts}})
    AND entry.{{column}} IN (SELECT root FROM repriced)"""

_MOVED = f"""
    WITH repriced (root) AS (
        SELECT corrects FROM items WHERE kind = 'charge' AND at >= ? AND at < ?
        UNION
        SELECT late.corrects FROM items AS late
        WHERE late.correction = 1 AND late.at >= ? AND late.at < ? AND late.corrects IS NOT NULL
        AND EXISTS (SELECT 1 FROM items AS anew
            WHERE anew.corrects = late.corrects AND anew.kind = 'charge'))
    {_ENTRIES.replace("{column}", "item")}
    UNION ALL {_ENTRIES.replace("{column}", "corrects")}
    ORDER BY root, number"""


class _Entry(NamedTuple):
    kind: str
    at: int
    cell: Cell
    requests: dict[str, int]
    counts: Sequence[int]


def moves(connection: Connection, span: Span, accounts: Condition) -> Moves:
    """What moved in ``span``. ``accounts`` selects the numbers of the accounts that are meant."""
    found: Moves = {}
    which, values = accounts
    times = (span.start, span.end)
    rows = connection.stream(_MOVED.format(accounts=which), (*times, *times, *values, *values))
    for _, entries in groupby(rows, key=itemgetter(0)):
        for at, cell, sign, counts, requests in _moved([_entry(row) for row in entries]):
            if span.start <= at < span.end:
                day = found.setdefault(at - at % DAY_MS, {})
                day.setdefault(cell, Sum()).add(
                    [sign * count for count in counts],
                    {name: sign * quantity for name, quantity in requests.items()},
                )
    return found


def _entry(row: Sequence[Any]) -> _Entry:
    kind, at, claimed_at, correction, account, series, price, requests = row[2:10]
    cell = Cell(day_of(at, claimed_at, correction), account, series, price, correction)
    return _Entry(kind, at, cell, requests_in(requests), row[10:])


def _moved(
    entries: Sequence[_Entry],
) -> Iterator[tuple[int, Cell, int, Sequence[int], dict[str, int]]]:
    """(at, cell, sign, counts, units) of what an item's entries moved; its own is the first."""
    standing: Sequence[int] = ZERO.as_tuple()
    requests: dict[str, int] = {}
    price = entries[0].cell.price
    for entry in entries:
        if entry.kind == "charge":
            there = entry.cell
            if there.price != price:
                yield entry.at, there._replace(price=price), -1, standing, requests
                yield entry.at, there, 1, standing, requests
                price = there.price
        elif entry.kind == "reversal" and entry.cell.price != price:
            # Taken back from the first price's sum, and to be taken from the newest's.
            yield entry.at, entry.cell, -1, entry.counts, {}
            yield entry.at, entry.cell._replace(price=price), 1, entry.counts, {}
        else:
            requests = requests or entry.requests
        standing = [a + b for a, b in zip(standing, entry.counts, strict=True)]
