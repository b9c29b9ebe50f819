"""One connection to the server, in the words that the store's statements are written in.

* Marks are ``?`` there and ``$1`` here; each text is rewritten once, and the server prepares what
  comes again and again.
* A whole number is always a BIGINT: by default the driver sends the smallest type that holds it,
  and the server would prepare one statement for each. What comes back as NUMERIC is a sum of whole
  numbers.
* Many rows go by COPY, and many rows come through a cursor of the server's.
* Transactions are begun and ended by hand. A connection that broke is in a transaction of which
  nobody knows anything, until it is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper

from agentspec_usage.store.postgresql.dialect import POSTGRESQL, numbered
from agentspec_usage.store.sql.connection import Rows
from agentspec_usage.store.sql.dialect import Dialect

__all__ = ["ONE_MOMENT", "Driver", "PostgresConnection", "adapted"]

Driver = psycopg.Connection[tuple[Any, ...]]

ONE_MOMENT = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
"""The mode of a transaction that only reads, and sees what was committed when it began to."""

_STREAMED_ROWS = 2000
"""Rows that a stream fetches at once: some hundred kilobytes."""


class _WholeNumberLoader(Loader):
    def load(self, data: Buffer) -> int:
        return int(bytes(data))


def adapted(driver: Driver) -> Driver:
    """``driver``, which speaks of numbers and marks as the store does."""
    driver.adapters.register_dumper(int, Int8Dumper)
    driver.adapters.register_dumper(int, Int8BinaryDumper)
    driver.adapters.register_loader("numeric", _WholeNumberLoader)
    driver.cursor_factory = psycopg.RawCursor
    driver.server_cursor_factory = psycopg.RawServerCursor
    return driver


class PostgresConnection:
    """A connection that is made when it is first begun with, and again when it broke."""

    def __init__(self, connect: Callable[[], Driver]) -> None:
        self._connect = connect
        self._driver: Driver | None = None
        self._streams = count(1)

    @property
    def dialect(self) -> Dialect:
        return POSTGRESQL

    @property
    def in_transaction(self) -> bool:
        """Whether anything but a new beginning is possible; False where nothing was begun."""
        driver = self._driver
        return driver is not None and driver.info.transaction_status != TransactionStatus.IDLE

    def begin(self, mode: str) -> None:
        """Begin a transaction, on a new connection where there is none that works."""
        begin = f"BEGIN {mode}"
        if self._driver is not None:
            try:
                self._driver.execute(begin)
            except psycopg.OperationalError:
                # It was lost while nothing was under way, and nothing is lost with it.
                self.close()
            else:
                return
        self._driver = self._connect()
        self._driver.execute(begin)

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        return self._open().execute(numbered(sql), values)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        with self._open().cursor() as cursor:
            cursor.executemany(numbered(sql), rows)

    def insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], /
    ) -> None:
        if not rows:
            return
        copy_in = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._open().cursor() as cursor, cursor.copy(copy_in) as copy:
            for row in rows:
                copy.write_row(row)

    def stream(self, sql: str, values: Sequence[Any] = (), /) -> Generator[Any, None, None]:
        with self._open().cursor(f"stream_{next(self._streams)}") as cursor:
            cursor.itersize = _STREAMED_ROWS
            yield from cursor.execute(numbered(sql), values)

    def close(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _open(self) -> Driver:
        if self._driver is None:
            raise psycopg.InterfaceError("nothing was begun on this connection")
        return self._driver
