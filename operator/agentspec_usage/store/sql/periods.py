"""Closing a period, and reading what was written down of it.

In one transaction the tail is charged up to the period's end, the statement's lines are added up
and written down, and everything that is stored from then on belongs to later periods (``items``).
The lines say with which batch of the journal they were made, so that whoever has a signed head of
then can prove them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import Span
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.money import Money
from agentspec_usage.pricing.statement import Usage
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.store.periods import (
    WHEN_OVER,
    ClosedPeriod,
    ClosingRules,
    Period,
    PeriodError,
    PeriodStatement,
)
from agentspec_usage.store.proof.chain import Head
from agentspec_usage.store.queries import UsageFilter
from agentspec_usage.store.sql.charging import Charging
from agentspec_usage.store.sql.closable import check_closable
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.items import NewItems
from agentspec_usage.store.sql.journal import head_of, ledger_of
from agentspec_usage.store.sql.statements import (
    charged_usage,
    provisional_usage,
    without_notes,
)
from agentspec_usage.store.sql.tail import bill_tail

__all__ = ["close_period", "closed_periods", "first_changed_period", "statement"]

_PERIODS = (
    "SELECT end_at, start_at, name, zone, closed_at, last_item, statement, hash FROM periods "
)


def close_period(
    connection: Connection,
    dictionaries: Dictionaries,
    charging: Charging,
    period: Period,
    now: int,
    rules: ClosingRules = WHEN_OVER,
) -> ClosedPeriod:
    """Close ``period``, inside the transaction that is open. One that is closed stays as it is."""
    closed = closed_periods(connection)
    span = period.span
    for known in closed:
        if known.period.span == span:
            return known
    if closed and span.start != closed[-1].period.span.end:
        raise PeriodError(
            f"{period.name} {period.zone} begins at {to_rfc3339(span.start)}: expected the period "
            f"that begins at {to_rfc3339(closed[-1].period.span.end)}, where the last closed one "
            "ends"
        )
    check_closable(connection, period, now, rules, first=not closed)
    new = NewItems(connection, dictionaries, charging, now)
    bill_tail(connection, new, span.end)
    new.write()
    head = head_of(connection)
    text = _written(charged_usage(connection, UsageFilter(span)), head)
    made = ClosedPeriod(period, now, head.last, _hash(period, now, text))
    connection.execute(
        "INSERT INTO periods "
        "(end_at, start_at, name, zone, closed_at, last_item, statement, hash) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (span.end, span.start, period.name, period.zone, now, head.last, text, made.hash),
    )
    return made


def closed_periods(connection: Connection) -> list[ClosedPeriod]:
    """Those that were closed, in their order."""
    return [_period(row) for row in connection.execute(f"{_PERIODS} ORDER BY end_at")]


def statement(
    connection: Connection,
    span: Span,
    book: PriceBook,
    now: int,
    namespace: str = "",
    agent_id: str = "",
) -> PeriodStatement:
    """What a statement of ``span`` is made of: as it was written down, where it was closed."""
    ledger, _ = ledger_of(connection)
    row = connection.execute(
        f"{_PERIODS} WHERE end_at = ? AND start_at = ?", (span.end, span.start)
    ).fetchone()
    if row is not None and not agent_id:
        usage, head = _read(row[6])
        chosen = [used for used in usage if namespace in ("", used.account[0])]
        return PeriodStatement(chosen, ledger, head, _period(row))
    asked = UsageFilter(span, namespace, agent_id)
    usage = charged_usage(connection, asked)
    if not agent_id:
        usage += provisional_usage(connection, span, book, now, namespace)
    closed = None if row is None else _period(row)
    return PeriodStatement(usage, ledger, head_of(connection), closed)


def first_changed_period(connection: Connection, pruned: int = 0) -> tuple[str, str] | None:
    """Where a closed period is not what it was, and what is wrong; None where all are.

    Of rows of before ``pruned`` the sums are left, which do not tell corrections apart.
    """
    end = None
    for row in connection.execute(f"{_PERIODS} ORDER BY end_at").fetchall():
        known, text = _period(row), row[6]
        where = f"period {known.period.name}"
        if known.hash != _hash(known.period, known.closed_at, text):
            return where, "its statement is not what was written down"
        span = known.period.span
        if end not in (None, span.start):
            return where, "it does not begin where the one before it ends"
        end = span.end
        late = connection.execute(
            "SELECT min(item) FROM items WHERE item > ? AND at >= ? AND at < ?",
            (known.last_item, span.start, span.end),
        ).fetchone()[0]
        if late is not None:
            return where, f"row {late} was added to it after it was closed"
        usage, head = _read(text)
        added = charged_usage(connection, UsageFilter(span))
        if span.end <= pruned:
            usage, added = without_notes(usage), without_notes(added)
        if _ordered(usage) != _ordered(added):
            return where, "its statement is not what its rows add up to"
        if head.last != known.last_item or not _is_in_chain(connection, head):
            return where, "its statement was made at another batch"
    return _correction_of_nothing(connection)


def _is_in_chain(connection: Connection, head: Head) -> bool:
    """Whether the chain was there; before its first batch a head has no batch to compare with."""
    row = connection.execute(
        "SELECT hash, last_item FROM batches WHERE batch = ?", (head.batch,)
    ).fetchone()
    return head.batch == 0 if row is None else tuple(row) == (head.hash, head.last)


def _correction_of_nothing(connection: Connection) -> tuple[str, str] | None:
    """A row that came late for a period which nobody closed: the period was taken away."""
    row = connection.execute(
        "SELECT min(item) FROM items WHERE correction = 1 AND NOT EXISTS ("
        "SELECT 1 FROM periods WHERE end_at <= items.at AND end_at > items.claimed_at)"
    ).fetchone()
    if row[0] is None:
        return None
    return f"row {row[0]}", "it is a correction, and no period was closed before it"


def _period(row: Sequence[Any]) -> ClosedPeriod:
    end, start, name, zone, closed_at, last_item, _, hashed = row
    return ClosedPeriod(Period(name, zone, Span(start, end)), closed_at, last_item, hashed)


def _hash(period: Period, closed_at: int, text: str) -> str:
    span = period.span
    said = f"{period.name}\n{period.zone}\n{span.start}\n{span.end}\n{closed_at}\n{text}"
    return sha256(said.encode()).hexdigest()


def _written(usage: Sequence[Usage], head: Head) -> str:
    """The text of lines and head; lines in the order of their accounts."""
    document = {
        "head": {"batch": head.batch, "hash": head.hash.hex(), "last": head.last},
        "lines": [
            [
                list(used.account),
                list(used.counts.as_tuple()),
                {money.currency: money.pico for money in used.costs},
                used.unpriced,
                used.estimated,
            ]
            for used in _ordered(usage)
        ],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def _read(text: str) -> tuple[list[Usage], Head]:
    document = json.loads(text)
    said = document["head"]
    usage = [
        Usage(
            tuple(account),
            TokenCounts(*counts),
            tuple(Money(pico, currency) for currency, pico in sorted(costs.items())),
            unpriced,
            estimated,
        )
        for account, counts, costs, unpriced, estimated in document["lines"]
    ]
    return usage, Head(said["batch"], bytes.fromhex(said["hash"]), said["last"])


def _ordered(usage: Sequence[Usage]) -> list[Usage]:
    return sorted(usage, key=lambda used: used.account)
