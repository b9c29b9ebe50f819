"""What is in the database, read as anybody could: with SQL, after the program has ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.store.opening import reading, verify_database

__all__ = ["Stored", "instance_in", "seq_of", "stored_of"]

_COUNTS = ", ".join(COMPONENTS)
_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in COMPONENTS)


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance: where it stands, its items added up, and the totals kept beside them."""

    seq: int
    final: bool
    items: TokenCounts
    records: int
    distinct_records: int
    lost: TokenCounts
    applied: TokenCounts
    reported: TokenCounts
    rolled_back: bool
    conflicts: int


def seq_of(database: Path | str, instance_id: str) -> int:
    """Where the instance stands; 0 where it was never heard of."""
    with reading(str(database)) as connection:
        row = connection.execute(
            "SELECT seq FROM instances WHERE instance_id = ?", (instance_id,)
        ).fetchone()
    return 0 if row is None else int(row[0])


def stored_of(database: Path | str, instance_id: str) -> Stored:
    """The instance as it is stored, in a journal that is whole, however the program ended."""
    assert verify_database(str(database)).finding is None
    return instance_in(database, instance_id)


def instance_in(database: Path | str, instance_id: str) -> Stored:
    """The instance as it is stored; whether the journal is whole was asked before."""
    with reading(str(database)) as connection:
        number, seq, final, rolled_back, conflicts = connection.execute(
            "SELECT instance, seq, final, rolled_back_at IS NOT NULL, conflicts FROM instances "
            "WHERE instance_id = ?",
            (instance_id,),
        ).fetchone()
        items = connection.execute(
            f"SELECT {_SUMS} FROM items WHERE instance = ?", (number,)
        ).fetchone()
        lost = connection.execute(
            f"SELECT {_SUMS} FROM items WHERE instance = ? AND kind = 'lost'", (number,)
        ).fetchone()
        records, distinct = connection.execute(
            "SELECT count(*), count(DISTINCT first_seq) FROM items "
            "WHERE instance = ? AND kind = 'record'",
            (number,),
        ).fetchone()
        totals = {
            path: TokenCounts(*counts)
            for path, *counts in connection.execute(
                f"SELECT path, {_COUNTS} FROM instance_totals WHERE instance = ?", (number,)
            )
        }
    return Stored(
        seq,
        bool(final),
        TokenCounts(*items),
        records,
        distinct,
        TokenCounts(*lost),
        totals.get("applied", ZERO),
        totals.get("reported", ZERO),
        bool(rolled_back),
        conflicts,
    )
