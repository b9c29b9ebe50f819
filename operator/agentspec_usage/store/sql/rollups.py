"""Sums kept beside the items, in the transaction that stores them: by 15-minute bucket, by UTC day.

A sum belongs to an account, a series and the prices that it was charged by; what is asked later (a
namespace, a model, a month in some zone) is a sum of these. Rows are written in the order of their
keys: a bucket's rows lie together, and the newest bucket is at the end of the table, so writing
touches few pages however many there are, and several writers never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT
from agentspec_usage.metering.frame import bucket_of
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.store.sql.charging import summed_money
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect

__all__ = ["BUCKETS", "DAYS", "SUM_COLUMNS", "Stored", "add_to_rollups", "summed"]

BUCKETS = "bucket_sums"
DAYS = "day_sums"

SUM_COLUMNS = ("items", *COMPONENTS, "milli", "pico", "priced", "estimated")
"""What a sum sums up, in this order."""

_Key = tuple[int, ...]
_KEY = ("start", "account", "series", "price")


class Stored(NamedTuple):
    """Of an item: its time (ms), the numbers that it is summed up by, and ``SUM_COLUMNS``."""

    at: int
    account: int
    series: int
    price: int
    values: tuple[int, ...]


def summed(dialect: Dialect, alias: str, *, items: str = "") -> str:
    """The sums of ``SUM_COLUMNS`` for a SELECT from ``alias``; money as ``summed_money`` has it.

    ``items`` is what counts as an item, where the column has another name.
    """
    counts = (items or f"{alias}.items", *(f"{alias}.{name}" for name in COMPONENTS))
    marks = (f"{alias}.priced", f"{alias}.estimated")
    return ", ".join(
        (
            *(dialect.summed_count(column) for column in counts),
            summed_money(alias),
            *(dialect.summed_count(column) for column in marks),
        )
    )


def add_to_rollups(connection: Connection, stored: Iterable[Stored]) -> None:
    """Add items to the sums that they belong to."""
    by_bucket: dict[_Key, list[Sequence[int]]] = {}
    for item in stored:
        by_bucket.setdefault((bucket_of(item.at), *item[1:4]), []).append(item.values)
    buckets = _summed(by_bucket)
    by_day: dict[_Key, list[Sequence[int]]] = {}
    for (start, *rest), values in buckets.items():
        by_day.setdefault((start - start % DAY_MS, *rest), []).append(values)
    days = _summed(by_day)
    for table, sums in ((BUCKETS, buckets), (DAYS, days)):
        connection.executemany(
            _upsert(connection.dialect, table),
            [(*key, *_bounded(sums[key])) for key in sorted(sums)],
        )


def _summed(rows: Mapping[_Key, Sequence[Sequence[int]]]) -> dict[_Key, list[int]]:
    return {key: list(map(sum, zip(*values, strict=True))) for key, values in rows.items()}


@cache
def _upsert(dialect: Dialect, table: str) -> str:
    columns = (*_KEY, *SUM_COLUMNS)
    added = []
    for name in SUM_COLUMNS:
        total = f"{table}.{name} + excluded.{name}"
        whole = name in ("milli", "pico")
        added.append(f"{name} = {total if whole else dialect.least(total, str(MAX_COUNT))}")
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT ({', '.join(_KEY)}) DO UPDATE SET {', '.join(added)}"
    )


def _bounded(values: list[int]) -> Iterable[int]:
    for name, value in zip(SUM_COLUMNS, values, strict=True):
        yield value if name in ("milli", "pico") else min(value, MAX_COUNT)
