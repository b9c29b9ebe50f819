"""A read sees one moment of the store, however many statements it is made of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from agentspec_usage.store.opening import open_database
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.readers import Readers
from agentspec_usage.store.sqlite.database import SqliteDatabase
from agentspec_usage.store.sqlite.opening import open_reader
from tests.unit.store.values import edited

COUNT = "SELECT count(*) FROM batches"


def test_what_is_committed_during_a_read_is_not_in_it(database: str) -> None:
    opened = open_database(database)
    looked, committed = Event(), Event()

    def twice(connection: Connection) -> tuple[int, int]:
        first = connection.execute(COUNT).fetchone()[0]
        looked.set()
        assert committed.wait(10)
        return first, connection.execute(COUNT).fetchone()[0]

    readers = Readers(opened)
    try:
        reading = readers.submit(twice)
        assert looked.wait(10)
        with edited(database) as writer:
            writer.execute(
                "INSERT INTO batches VALUES (1, ?, 1, 1, ?, 1, NULL, ?)", (b"0", b"0", b"0")
            )
        committed.set()
        assert reading.result(10) == (0, 0)
        assert readers.submit(lambda c: c.execute(COUNT).fetchone()[0]).result(10) == 1
    finally:
        readers.stop()
        opened.close()


def test_a_statement_that_takes_too_long_is_given_up_and_the_next_one_is_answered(
    file: Path,
) -> None:
    SqliteDatabase(file).close()
    with closing(open_reader(file)) as connection:
        ticks = count()
        connection.limit(2, lambda: next(ticks))
        endless = """
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
            SELECT max(i) FROM n"""
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            connection.execute(endless).fetchone()
        assert connection.execute("SELECT 1").fetchone() == (1,)
