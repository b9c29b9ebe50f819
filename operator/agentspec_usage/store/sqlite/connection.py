"""SQLite's driver, as the portable statements want it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Generator, Sequence
from math import inf
from typing import Any

from agentspec_usage.store.sql.dialect import Dialect

__all__ = ["SQLITE", "SqliteConnection"]

_STEPS = 20_000
"""Of SQLite's machine between two looks at the clock: about a thousandth of a second."""


def _statements(text: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, re.split(r";\s*(?:\n|$)", text))))


SQLITE = Dialect(
    name="sqlite",
    least_of="min",
    greatest_of="max",
    # ``total`` is a float: exact up to 2^53, and beyond that every count says that it stopped.
    exact_sum="total({})",
    json_of="json_quote({})",
    statements=_statements,
)


class SqliteConnection(sqlite3.Connection):
    """A connection with the little that SQLite's has not."""

    dialect = SQLITE
    _until = inf
    _seconds = inf
    _monotonic: Callable[[], float] = staticmethod(lambda: 0.0)

    def limit(self, seconds: float, monotonic: Callable[[], float]) -> None:
        """Interrupt every statement that takes longer, but for ``stream``, whose rows are many."""
        self._seconds, self._monotonic = seconds, monotonic
        self.set_progress_handler(self._is_late, _STEPS)

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        self._until = self._monotonic() + self._seconds
        return super().execute(sql, values)

    def insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], /
    ) -> None:
        marks = ", ".join("?" * len(columns))
        self.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def stream(self, sql: str, values: Sequence[Any] = (), /) -> Generator[Any, None, None]:
        self._until = inf
        yield from super().execute(sql, values)

    def _is_late(self) -> bool:
        return self._monotonic() > self._until
