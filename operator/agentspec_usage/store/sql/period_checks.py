"""Closed periods, compared with what the journal says of their closing, and with their rows.

The journal has a batch for each period that was closed, in that order, with the hash of what was
written down of it. So once a head of after it is kept elsewhere, a period can be neither taken away
nor made up, nor be another one, also by somebody who computes its own hash again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from agentspec_usage.store.periods import ClosedPeriod
from agentspec_usage.store.proof.chain import Batch, Head
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.statements import charged_usage, without_notes
from agentspec_usage.store.sql.written_periods import (
    WrittenPeriod,
    ordered,
    period_hash,
    read_statement,
    written_periods,
)

__all__ = ["first_changed_period"]

_Finding = tuple[str, str]


def first_changed_period(
    connection: Connection, closings: Sequence[Batch], pruned: int = 0
) -> _Finding | None:
    """Where a closed period is not what it was, and what is wrong; None where all are.

    ``closings`` are the batches of the journal that close one, in their order. Of rows of before
    ``pruned`` the sums are left, which do not tell corrections apart.
    """
    written = written_periods(connection)
    for one in written:
        closed = one.closed
        if closed.hash != period_hash(closed.period, closed.closed_at, one.statement):
            return _where(closed), "its statement is not what was written down"
    if found := _not_as_closed([one.closed for one in written], closings):
        return found
    end = None
    for one, closing in zip(written, closings, strict=True):
        span = one.closed.period.span
        if end not in (None, span.start):
            return _where(one.closed), "it does not begin where the one before it ends"
        end = span.end
        if wrong := _not_its_rows(connection, one, closing, pruned):
            return _where(one.closed), wrong
    return _correction_of_nothing(connection)


def _not_as_closed(closed: Sequence[ClosedPeriod], closings: Sequence[Batch]) -> _Finding | None:
    """The periods are those that the journal closed, in its order, and there is no other."""
    known = {one.hash for one in closed}
    for one, closing in zip_longest(closed, closings):
        if closing is not None and (one is None or closing.closes not in known):
            where = f"batch {closing.number}"
            return where, "the period that it closed is not there as it was closed"
        if closing is None or closing.closes != one.hash:
            return _where(one), "the journal does not say that it was closed then"
    return None


def _not_its_rows(
    connection: Connection, written: WrittenPeriod, closing: Batch, pruned: int
) -> str:
    """What is wrong with the statement; "" where its rows, then as now, make it."""
    closed = written.closed
    span = closed.period.span
    late = connection.execute(
        "SELECT min(item) FROM items WHERE item > ? AND at >= ? AND at < ?",
        (closed.last_item, span.start, span.end),
    ).fetchone()[0]
    if late is not None:
        return f"row {late} was added to it after it was closed"
    try:
        usage, head = read_statement(written.statement)
    except (ValueError, LookupError, TypeError, AttributeError):
        return "its statement is a text that this program does not write"
    added = charged_usage(connection, UsageFilter(span))
    if span.end <= pruned:
        usage, added = without_notes(usage), without_notes(added)
    if ordered(usage) != ordered(added):
        return "its statement is not what its rows add up to"
    before = Head(closing.number - 1, closing.previous, closing.first - 1)
    if head != before or head.last != closed.last_item:
        return "its statement was made at another batch"
    return ""


def _correction_of_nothing(connection: Connection) -> _Finding | None:
    """A row that came late for a period which nobody closed: the period was taken away, and the
    journal was written anew without it."""
    row = connection.execute(
        "SELECT min(item) FROM items WHERE correction = 1 AND NOT EXISTS ("
        "SELECT 1 FROM periods WHERE end_at <= items.at AND end_at > items.claimed_at)"
    ).fetchone()
    if row[0] is None:
        return None
    return f"row {row[0]}", "it is a correction, and no period was closed before it"


def _where(closed: ClosedPeriod) -> str:
    return f"period {closed.period.name}"
