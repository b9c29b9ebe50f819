"""Closed periods as they are written down: a statement as a text, and the hash of the whole row.

The text has the lines, and the head of the journal that they were made with. The hash is what the
journal says of the period (``proof.chain``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.periods import Span
from agentspec_usage.pricing.money import Money
from agentspec_usage.pricing.statement import Usage
from agentspec_usage.store.periods import ClosedPeriod, Period
from agentspec_usage.store.proof.chain import Head
from agentspec_usage.store.sql.connection import Connection

__all__ = [
    "WrittenPeriod",
    "ordered",
    "period_hash",
    "read_statement",
    "statement_text",
    "write_period",
    "written_period",
    "written_periods",
]

_COLUMNS = "end_at, start_at, name, zone, closed_at, last_item, statement, hash"


@dataclass(frozen=True, slots=True)
class WrittenPeriod:
    """``statement`` is the text of the lines and the head that they were made with."""

    closed: ClosedPeriod
    statement: str


def written_periods(connection: Connection) -> list[WrittenPeriod]:
    """All of them, in their order."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM periods ORDER BY end_at")
    return [_period(row) for row in rows]


def written_period(connection: Connection, span: Span) -> WrittenPeriod | None:
    """The period of ``span``; None where that was not closed."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM periods WHERE end_at = ? AND start_at = ?", (span.end, span.start)
    ).fetchone()
    return None if row is None else _period(row)


def write_period(connection: Connection, written: WrittenPeriod) -> None:
    closed = written.closed
    period, span = closed.period, closed.period.span
    connection.execute(
        f"INSERT INTO periods ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(span.end, span.start, period.name, period.zone),
            *(closed.closed_at, closed.last_item, written.statement, closed.hash),
        ),
    )


def period_hash(period: Period, closed_at: int, statement: str) -> str:
    span = period.span
    said = f"{period.name}\n{period.zone}\n{span.start}\n{span.end}\n{closed_at}\n{statement}"
    return sha256(said.encode()).hexdigest()


def statement_text(usage: Sequence[Usage], head: Head) -> str:
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
            for used in ordered(usage)
        ],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True)


def read_statement(text: str) -> tuple[list[Usage], Head]:
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


def ordered(usage: Sequence[Usage]) -> list[Usage]:
    return sorted(usage, key=lambda used: used.account)


def _period(row: Sequence[Any]) -> WrittenPeriod:
    end, start, name, zone, closed_at, last_item, statement, hashed = row
    period = Period(name, zone, Span(start, end))
    return WrittenPeriod(ClosedPeriod(period, closed_at, last_item, hashed), statement)
