"""How far each instance had counted, as it is stored: by path, by series, and by when it was seen.

Many instances are read and written with a few statements, because one observation of a fleet is
hundreds of them. Rows are written in the order of their keys, so that writers never wait for each
other in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS, MAX_COUNT, ZERO, TokenCounts
from agentspec_usage.metering.level import Level
from agentspec_usage.metering.tail import Mark
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect

__all__ = [
    "APPLIED",
    "ESTIMATED",
    "REPORTED",
    "TOTALS",
    "add_to_cells",
    "charged_levels",
    "forget_marks",
    "forget_tails",
    "levels_before",
    "marked",
    "marks_before",
    "move_tail",
    "one_of",
    "paths_of",
    "raise_tails",
    "seen_levels",
    "set_path",
]

APPLIED, REPORTED, ESTIMATED = "applied", "reported", "estimated"

TOTALS = 0
"""The series number of what an instance counted in all, in ``tails`` and ``tail_marks``."""

_COUNTS = ", ".join(COMPONENTS)
_MARKS = ", ".join("?" * len(COMPONENTS))
_SET = ", ".join(f"{name} = excluded.{name}" for name in COMPONENTS)

_SET_PATH = f"""
    INSERT INTO instance_totals (instance, path, {_COUNTS}) VALUES (?, ?, {_MARKS})
    ON CONFLICT (instance, path) DO UPDATE SET {_SET}"""

_SET_TAIL = f"""
    INSERT INTO tails (agent, instance, series, bucket, {_COUNTS}) VALUES (?, ?, ?, ?, {_MARKS})
    ON CONFLICT (instance, series) DO UPDATE SET bucket = excluded.bucket, {_SET}"""

_SET_MARK = f"""
    INSERT INTO tail_marks (instance, series, bucket, {_COUNTS}) VALUES (?, ?, ?, {_MARKS})
    ON CONFLICT (instance, series, bucket) DO UPDATE SET {_SET}"""

_BEFORE = f"""
    SELECT tails.instance, tails.series, {", ".join(f"mark.{name}" for name in COMPONENTS)}
    FROM tails CROSS JOIN tail_marks AS mark
    WHERE mark.instance = tails.instance AND mark.series = tails.series AND mark.bucket = (
        SELECT max(earlier.bucket) FROM tail_marks AS earlier
        WHERE earlier.instance = tails.instance AND earlier.series = tails.series
        AND earlier.bucket < ?)
    AND tails.instance"""
"""One step in the primary key for each series, however many marks it has: with CROSS JOIN, SQLite
begins with the few rows of ``tails``."""


def one_of(values: Collection[object]) -> str:
    """``IN`` so many values."""
    # Of nothing nothing is one: an empty list is SQLite's alone.
    return f"IN ({', '.join('?' * len(values)) or 'NULL'})"


def paths_of(
    connection: Connection, instances: Collection[int]
) -> dict[int, dict[str, TokenCounts]]:
    """The totals of each instance by path; a path of which nothing is known is not in it."""
    found: dict[int, dict[str, TokenCounts]] = {instance: {} for instance in instances}
    rows = connection.execute(
        f"SELECT instance, path, {_COUNTS} FROM instance_totals WHERE instance {one_of(instances)}",
        (*instances,),
    )
    for instance, path, *counts in rows:
        found[instance][path] = TokenCounts(*counts)
    return found


def set_path(connection: Connection, path: str, totals: Mapping[int, TokenCounts]) -> None:
    connection.executemany(
        _SET_PATH,
        [(instance, path, *totals[instance].as_tuple()) for instance in sorted(totals)],
    )


def charged_levels(connection: Connection, instances: Collection[int]) -> dict[int, Level[int]]:
    """What is charged of each instance, delivered or estimated."""
    rows = connection.execute(
        f"SELECT instance, series, {_COUNTS} FROM instance_cells "
        f"WHERE instance {one_of(instances)}",
        (*instances,),
    )
    cells = _by_instance(rows)
    found = {}
    for instance, paths in paths_of(connection, instances).items():
        totals = paths.get(APPLIED, ZERO) + paths.get(ESTIMATED, ZERO)
        found[instance] = Level(totals, cells.get(instance, {}))
    return found


def add_to_cells(connection: Connection, changes: Mapping[tuple[int, int], Sequence[int]]) -> None:
    """Add to what is charged, by (instance, series); what was taken back is below zero."""
    connection.executemany(
        _add_to_cell(connection.dialect), [(*key, *changes[key]) for key in sorted(changes)]
    )


@cache
def _add_to_cell(dialect: Dialect) -> str:
    added = ", ".join(
        f"{name} = {dialect.least(f'instance_cells.{name} + excluded.{name}', str(MAX_COUNT))}"
        for name in COMPONENTS
    )
    return (
        f"INSERT INTO instance_cells (instance, series, {_COUNTS}) VALUES (?, ?, {_MARKS}) "
        f"ON CONFLICT (instance, series) DO UPDATE SET {added}"
    )


def seen_levels(
    connection: Connection, instances: Collection[int]
) -> dict[int, tuple[int, Level[int]]]:
    """Of each instance with a tail, the furthest level that was seen and the bucket of that."""
    rows = connection.execute(
        f"SELECT instance, series, bucket, {_COUNTS} FROM tails WHERE instance {one_of(instances)} "
        "ORDER BY instance, series",
        (*instances,),
    ).fetchall()
    buckets = {instance: bucket for instance, series, bucket, *_ in rows if series == TOTALS}
    levels = _levels((instance, series, *counts) for instance, series, _, *counts in rows)
    return {instance: (buckets[instance], level) for instance, level in levels.items()}


def raise_tails(
    connection: Connection, rows: Iterable[tuple[int, int, int, int, TokenCounts]]
) -> None:
    """Levels that rose: (agent, instance, series, bucket, counts)."""
    risen = sorted(rows, key=lambda row: row[1:4])
    connection.executemany(_SET_TAIL, [(*row[:4], *row[4].as_tuple()) for row in risen])
    connection.executemany(_SET_MARK, [(*row[1:4], *row[4].as_tuple()) for row in risen])


def move_tail(connection: Connection, instance: int, to: int) -> None:
    """What was seen of ``instance`` and is uncharged was seen of the instance ``to``."""
    for statement in _move_tail(connection.dialect):
        connection.execute(statement, (instance, to))
    forget_tails(connection, [instance])


@cache
def _move_tail(dialect: Dialect) -> tuple[str, str]:
    counts = ", ".join(f"seen.{name}" for name in COMPONENTS)

    def joined(table: str, *columns: str) -> str:
        return ", ".join(
            f"{name} = {dialect.greatest(f'{table}.{name}', f'excluded.{name}')}"
            for name in (*columns, *COMPONENTS)
        )

    return (
        f"INSERT INTO tails (agent, instance, series, bucket, {_COUNTS}) "
        f"SELECT target.agent, target.instance, seen.series, seen.bucket, {counts} "
        "FROM tails AS seen CROSS JOIN instances AS target "
        "WHERE seen.instance = ? AND target.instance = ? "
        f"ON CONFLICT (instance, series) DO UPDATE SET {joined('tails', 'bucket')}",
        f"INSERT INTO tail_marks (instance, series, bucket, {_COUNTS}) "
        f"SELECT target.instance, seen.series, seen.bucket, {counts} "
        "FROM tail_marks AS seen CROSS JOIN instances AS target "
        "WHERE seen.instance = ? AND target.instance = ? "
        f"ON CONFLICT (instance, series, bucket) DO UPDATE SET {joined('tail_marks')}",
    )


def forget_tails(connection: Connection, instances: Collection[int]) -> None:
    """Nothing of these is uncharged."""
    for table in ("tails", "tail_marks"):
        connection.execute(f"DELETE FROM {table} WHERE instance {one_of(instances)}", (*instances,))


def marked(connection: Connection, until: int, limit: int) -> list[int]:
    """The instances with the oldest marks of buckets before ``until`` (ms)."""
    rows = connection.execute(
        "SELECT instance, min(bucket) FROM tail_marks WHERE series = 0 AND bucket < ? "
        "GROUP BY instance ORDER BY 2, 1 LIMIT ?",
        (until, limit),
    )
    return [int(instance) for instance, _ in rows]


def marks_before(connection: Connection, instance: int, until: int) -> list[Mark[int]]:
    """The instance's levels at the end of each bucket before ``until`` (ms)."""
    rows = connection.execute(
        f"SELECT bucket, series, {_COUNTS} FROM tail_marks WHERE instance = ? AND bucket < ? "
        "ORDER BY bucket, series",
        (instance, until),
    )
    return [Mark(bucket, level) for bucket, level in _levels(rows).items()]


def forget_marks(connection: Connection, instance: int, until: int) -> None:
    connection.execute(
        "DELETE FROM tail_marks WHERE instance = ? AND bucket < ?", (instance, until)
    )


def levels_before(
    connection: Connection, instances: Collection[int], until: int
) -> dict[int, Level[int]]:
    """How far each instance with a tail was seen to have counted before ``until`` (ms)."""
    rows = connection.execute(f"{_BEFORE} {one_of(instances)}", (until, *instances))
    return _levels(rows)


def _by_instance(rows: Iterable[Any]) -> dict[int, dict[int, TokenCounts]]:
    found: dict[int, dict[int, TokenCounts]] = {}
    for first, series, *counts in rows:
        found.setdefault(first, {})[series] = TokenCounts(*counts)
    return found


def _levels(rows: Iterable[Any]) -> dict[int, Level[int]]:
    """Levels by the first column."""
    return {
        first: Level(cells.pop(TOTALS, ZERO), cells) for first, cells in _by_instance(rows).items()
    }
