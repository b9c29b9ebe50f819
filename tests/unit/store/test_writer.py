"""One thread writes: everything that waits in one transaction, and no result before its commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from agentspec_usage.store.errors import StoreBusyError, StoreUnavailableError
from agentspec_usage.store.opening import open_database
from agentspec_usage.store.sql.connection import Connection, Database
from agentspec_usage.store.sql.writer import Writer, WriterLimits
from agentspec_usage.store.sqlite.database import SqliteDatabase
from tests.unit.store.values import edited, rows

SECONDS = 20


def insert(value: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (value,))
        return value

    return work


@pytest.fixture
def opened(database: str) -> Iterator[Database]:
    made = open_database(database)
    yield made
    made.close()


@pytest.fixture
def table(opened: Database, database: str) -> str:
    with edited(database) as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER UNIQUE)")
    return database


@pytest.fixture
def writer(opened: Database, table: str) -> Iterator[Writer]:
    running = Writer(opened, WriterLimits(waiting_jobs=8, waiting_weight=100_000, group_jobs=4))
    running.start()
    yield running
    running.stop()


def committed(table: str) -> list[int]:
    return [number for (number,) in rows(table, "SELECT number FROM numbers ORDER BY number")]


class Held:
    """A job that keeps the writer busy until it is let go."""

    def __init__(self, writer: Writer) -> None:
        self.began, self.go_on = Event(), Event()
        self.result: Future[None] = writer.submit(self._work)
        assert self.began.wait(SECONDS)

    def _work(self, _: Connection) -> None:
        self.began.set()
        assert self.go_on.wait(SECONDS)


def test_a_result_is_handed_out_after_its_commit(writer: Writer, table: str) -> None:
    assert writer.submit(insert(1)).result(SECONDS) == 1
    assert committed(table) == [1]


def test_nothing_is_committed_and_nothing_answered_while_the_transaction_is_open(
    writer: Writer, table: str
) -> None:
    held = Held(writer)
    inserted = writer.submit(insert(1))
    assert not inserted.done()
    assert committed(table) == []
    held.go_on.set()
    assert inserted.result(SECONDS) == 1


def test_what_waits_goes_into_one_transaction_within_its_bounds(writer: Writer) -> None:
    held = Held(writer)
    results = [writer.submit(insert(number)) for number in range(6)]
    held.go_on.set()
    assert [result.result(SECONDS) for result in results] == list(range(6))
    assert writer.stats.commits == 3, "the held job, four jobs, two jobs"
    assert writer.stats.jobs == 7


def test_a_job_that_fails_is_undone_alone(writer: Writer, table: str) -> None:
    def half_done(connection: Connection) -> None:
        insert(7)(connection)
        raise ValueError("no more")

    held = Held(writer)
    first, failing, last = (
        writer.submit(insert(1)),
        writer.submit(half_done),
        writer.submit(insert(2)),
    )
    held.go_on.set()
    with pytest.raises(ValueError, match="no more"):
        failing.result(SECONDS)
    assert (first.result(SECONDS), last.result(SECONDS)) == (1, 2)
    assert committed(table) == [1, 2]


def test_a_constraint_that_is_broken_fails_its_job_alone(
    opened: Database, writer: Writer, table: str
) -> None:
    held = Held(writer)
    first, again, other = (writer.submit(insert(n)) for n in (1, 1, 2))
    held.go_on.set()
    with pytest.raises(opened.errors, match=r"(?i)unique"):
        again.result(SECONDS)
    assert (first.result(SECONDS), other.result(SECONDS)) == (1, 2)
    assert committed(table) == [1, 2]


def test_a_transaction_that_fails_fails_every_job_of_it_and_the_next_one_works(
    writer: Writer, table: str
) -> None:
    def breaks(connection: Connection) -> None:
        connection.execute("SELECT * FROM no_such_table")

    held = Held(writer)
    results: list[Future[Any]] = [writer.submit(insert(1)), writer.submit(breaks)]
    held.go_on.set()
    for result in results:
        with pytest.raises(StoreUnavailableError, match=r"SQLITE_ERROR|UndefinedTable"):
            result.result(SECONDS)
    assert writer.stats.failing in ("SQLITE_ERROR", "UndefinedTable")
    assert committed(table) == []
    assert writer.submit(insert(2)).result(SECONDS) == 2
    assert writer.stats.failing == ""
    assert writer.stats.failed_commits == 1


def test_a_writer_that_is_full_takes_nothing_more(writer: Writer, table: str) -> None:
    held = Held(writer)
    results = [writer.submit(insert(number), 1) for number in range(8)]
    with pytest.raises(StoreBusyError, match="8 writes wait already"):
        writer.submit(insert(99), 1)
    held.go_on.set()
    for result in results:
        result.result(SECONDS)
    assert committed(table) == list(range(8))


def test_weight_is_bounded_and_one_heavy_job_is_taken_all_the_same(writer: Writer) -> None:
    held = Held(writer)
    heavy = writer.submit(insert(1), 500_000)
    with pytest.raises(StoreBusyError):
        writer.submit(insert(2), 1)
    held.go_on.set()
    assert heavy.result(SECONDS) == 1
    assert writer.submit(insert(2), 100_000).result(SECONDS) == 2


def test_stopping_writes_what_waits_and_takes_no_more(opened: Database, table: str) -> None:
    writer = Writer(opened)
    writer.start()
    held = Held(writer)
    results = [writer.submit(insert(number)) for number in range(3)]
    held.go_on.set()
    writer.stop()
    assert [result.result(0) for result in results] == [0, 1, 2]
    assert committed(table) == [0, 1, 2]
    assert not writer.alive
    with pytest.raises(StoreBusyError):
        writer.submit(insert(4))


def test_a_job_that_nobody_waits_for_any_more_is_left_out(writer: Writer, table: str) -> None:
    held = Held(writer)
    dropped, kept = writer.submit(insert(1)), writer.submit(insert(2))
    assert dropped.cancel()
    held.go_on.set()
    assert kept.result(SECONDS) == 2
    assert committed(table) == [2]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_dies_in_the_middle_leaves_nobody_waiting(
    opened: Database, table: str
) -> None:
    def ends_the_thread(_: Connection) -> None:
        raise SystemExit

    writer = Writer(opened)
    writer.start()
    held = Held(writer)
    results: list[Future[Any]] = [writer.submit(insert(1)), writer.submit(ends_the_thread)]
    held.go_on.set()
    for result in results:
        with pytest.raises(StoreUnavailableError):
            result.result(SECONDS)
    writer.stop()
    assert committed(table) == []


def test_a_writer_that_cannot_open_the_database_leaves_nobody_waiting(file: Path) -> None:
    opened = SqliteDatabase(file)
    file.unlink()
    file.mkdir()
    writer = Writer(opened)
    waiting = writer.submit(insert(1))
    writer.start()
    with pytest.raises(StoreUnavailableError, match="closed"):
        waiting.result(SECONDS)
    writer.stop()
    assert not writer.alive
    with pytest.raises(StoreBusyError):
        writer.submit(insert(2))
    opened.close()
