"""Sums kept beside the items, in the transaction that stores them: by 15-minute bucket, by UTC day.

A sum belongs to an agent and a series; what is asked later (a namespace, a model, a month in some
zone) is a sum of these. Rows are written in the order of their keys: a bucket's rows lie together,
and the newest bucket is at the end of the table, so writing touches few pages however many there
are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT, TokenCounts
from agentspec_usage.metering.frame import bucket_of
from agentspec_usage.metering.periods import DAY_MS

__all__ = ["BUCKETS", "DAYS", "Stored", "add_to_rollups", "summed"]

BUCKETS = "bucket_sums"
DAYS = "day_sums"

Stored = tuple[int, int, TokenCounts]
"""Of an item: its time (ms), its series' number, its counts."""

_COLUMNS = ", ".join(COMPONENTS)
_MARKS = ", ".join("?" * len(COMPONENTS))
_ADD = ", ".join(f"{name} = min({name} + excluded.{name}, {MAX_COUNT})" for name in COMPONENTS)


def _upsert(table: str) -> str:
    return (
        f"INSERT INTO {table} (start, agent, series, items, {_COLUMNS}) "
        f"VALUES (?, ?, ?, ?, {_MARKS}) ON CONFLICT (start, agent, series) "
        f"DO UPDATE SET items = items + excluded.items, {_ADD}"
    )


_UPSERTS = ((_upsert(BUCKETS), bucket_of), (_upsert(DAYS), lambda at: at - at % DAY_MS))


def summed(alias: str, items: str = "items") -> str:
    """The sums of ``items`` and of each component, for a SELECT from ``alias``.

    ``sum`` would fail beyond 2^63. ``total`` is exact up to 2^53, and beyond that every count says
    that it stopped counting.
    """
    columns = (f"{alias}.{name}" if name != "1" else name for name in (items, *COMPONENTS))
    return ", ".join(f"CAST(min(total({column}), {MAX_COUNT}.0) AS INTEGER)" for column in columns)


def add_to_rollups(connection: sqlite3.Connection, agent: int, stored: Iterable[Stored]) -> None:
    """Add items of the agent to the sums that they belong to."""
    items = tuple(stored)
    for upsert, start_of in _UPSERTS:
        sums: dict[tuple[int, int], list[int]] = {}
        for at, series, counts in items:
            row = sums.setdefault((start_of(at), series), [0] * (1 + len(COMPONENTS)))
            row[0] += 1
            for place, value in enumerate(counts.as_tuple(), 1):
                if value:
                    row[place] += value
        connection.executemany(
            upsert,
            [
                (start, agent, series, row[0], *(min(value, MAX_COUNT) for value in row[1:]))
                for (start, series), row in sorted(sums.items())
            ],
        )
