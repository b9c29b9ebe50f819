"""What somebody does to closed periods and to the chain who has the database and knows the program.

No key is in reach: heads that were signed are gone where the chain is written anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentspec_usage.store.proof.chain import Batch, Head
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.journal import ledger_of, stored_batches
from agentspec_usage.store.sql.written_periods import (
    WrittenPeriod,
    period_hash,
    write_period,
    written_periods,
)

__all__ = ["rewrite_chain", "rewrite_period"]


def rewrite_period(connection: Connection, of: str, *, instead: bool = True, **changes: Any) -> str:
    """The period called ``of`` becomes another one, with the hash that is its own: what that is.

    ``changes`` are of the period, of how it was closed, or of its ``statement``; without
    ``instead`` the first stays beside it.
    """
    (known,) = (one for one in written_periods(connection) if one.closed.period.name == of)
    period, closed, statement = known.closed.period, known.closed, known.statement
    for what, value in changes.items():
        if what == "statement":
            statement = value
        elif what in ("name", "zone", "span"):
            period = replace(period, **{what: value})
        else:
            closed = replace(closed, **{what: value})
    hashed = period_hash(period, closed.closed_at, statement)
    if instead:
        connection.execute("DELETE FROM periods WHERE name = ?", (of,))
    write_period(connection, WrittenPeriod(replace(closed, period=period, hash=hashed), statement))
    return hashed


def rewrite_chain(connection: Connection, closes: Mapping[int, str | None]) -> None:
    """Every batch is linked again. ``closes`` says what batches close now; with None they go."""
    batches = [batch for batch, *_ in stored_batches(connection)]
    connection.execute("DELETE FROM checkpoints")
    connection.execute("DELETE FROM batches")
    _, head = ledger_of(connection)
    for batch in batches:
        now = closes.get(batch.number, batch.closes)
        if batch.closes is not None and now is None:
            continue
        number = head.batch + 1
        made = replace(batch, number=number, previous=head.hash, closes=now)
        _insert(connection, made)
        head = Head(number, made.hash, made.last)


def _insert(connection: Connection, batch: Batch) -> None:
    connection.execute(
        "INSERT INTO batches (batch, previous, first_item, last_item, root, at, closes, hash) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(batch.number, batch.previous, batch.first, batch.last),
            *(batch.root, batch.at, batch.closes, batch.hash),
        ),
    )
