"""By which rules the database is opened, and that it is one process's."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.sqlite.lock import DatabaseLock
from agentspec_usage.store.sqlite.opening import open_reader, open_writer, prepare
from agentspec_usage.store.sqlite.store import SqliteStore

FULL = 2


def test_the_writer_acknowledges_what_is_on_the_disk(file: Path) -> None:
    prepare(file)
    with closing(open_writer(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (FULL,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DELETE FROM agents", id="a row"),
        pytest.param("DROP TABLE agents", id="a table"),
        pytest.param("PRAGMA user_version = 7", id="the version"),
    ],
)
def test_a_reader_cannot_write(file: Path, statement: str) -> None:
    prepare(file)
    with closing(open_reader(file)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute(statement)


def test_the_database_is_its_owners_alone(file: Path) -> None:
    prepare(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_second_holder_of_the_lock_is_told_who_has_it(file: Path) -> None:
    lock = DatabaseLock(file)
    with pytest.raises(StoreUnusableError, match=rf"\(pid {os.getpid()}\) has this database"):
        DatabaseLock(file)
    lock.release()
    DatabaseLock(file).release()


def test_a_second_store_is_refused_until_the_first_is_closed(file: Path) -> None:
    first = SqliteStore(file)
    with pytest.raises(StoreUnusableError, match="another process"):
        SqliteStore(file)
    first.close()
    SqliteStore(file).close()


def test_a_store_that_could_not_be_opened_holds_no_lock(file: Path) -> None:
    file.write_text("no database at all, and long enough to be looked at\n" * 40)
    with pytest.raises(StoreUnusableError, match="not a database"):
        SqliteStore(file)
    file.unlink()
    SqliteStore(file).close()


def test_a_directory_that_is_missing_is_made(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "data" / "usage.db").close()
    assert (tmp_path / "data" / "usage.db").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnusableError, match=r"file/usage\.db"):
        SqliteStore(tmp_path / "file" / "usage.db")


def test_a_path_with_signs_of_a_uri_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1?mode=rw.db"
    prepare(path)
    with closing(open_reader(path)) as connection:
        assert connection.execute("SELECT count(*) FROM agents").fetchone() == (0,)
