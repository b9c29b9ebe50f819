"""A blank database and an old one arrive at the same tables; another program's is left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.sqlite.opening import migrate, open_writer, prepare
from agentspec_usage.store.sqlite.schema import APPLICATION_ID, VERSION
from tests.unit.store.values import rows

SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


@pytest.mark.parametrize(
    "version", [pytest.param(v, id=f"from version {v}") for v in range(VERSION)]
)
def test_an_old_database_arrives_at_the_tables_of_a_blank_one(tmp_path: Path, version: int) -> None:
    old, blank = tmp_path / "old.db", tmp_path / "blank.db"
    with closing(open_writer(old)) as connection:
        migrate(connection, upto=version)
    prepare(old)
    prepare(blank)
    assert rows(old, SCHEMA) == rows(blank, SCHEMA)
    assert rows(old, "PRAGMA user_version") == rows(blank, "PRAGMA user_version") == [(VERSION,)]
    assert rows(old, "PRAGMA application_id") == [(APPLICATION_ID,)]


def test_what_an_old_database_holds_is_still_there(database: Path) -> None:
    with closing(open_writer(database)) as connection:
        migrate(connection, upto=1)
        connection.execute(
            "INSERT INTO agents (agent_id, namespace, name, runtime, registered_at) "
            "VALUES ('agt_1', 'team', 'agent', 'k8s', 1)"
        )
    prepare(database)
    assert rows(database, "SELECT agent_id, name FROM agents") == [("agt_1", "agent")]


def test_preparing_twice_changes_nothing(database: Path) -> None:
    prepare(database)
    before = rows(database, SCHEMA)
    prepare(database)
    assert rows(database, SCHEMA) == before


def test_a_step_that_fails_leaves_the_database_as_it_was(database: Path) -> None:
    with closing(open_writer(database)) as connection:
        migrate(connection, upto=1)
        connection.execute("CREATE TABLE items (mine TEXT)")
    before = rows(database, SCHEMA)
    with pytest.raises(StoreUnusableError, match="items already exists"):
        prepare(database)
    assert rows(database, SCHEMA) == before
    assert rows(database, "PRAGMA user_version") == [(1,)]


def test_a_database_of_a_later_version_is_refused(database: Path) -> None:
    prepare(database)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StoreUnusableError, match=f"is of version {VERSION + 1}"):
        prepare(database)


def test_another_programs_database_is_refused_and_left_alone(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    with pytest.raises(StoreUnusableError, match="another program's database"):
        prepare(database)
    assert rows(database, "SELECT name FROM sqlite_schema") == [("notes",)]


def test_a_file_that_is_no_database_is_refused(database: Path) -> None:
    database.write_text("a letter to my accountant, long enough to be one\n" * 40)
    with pytest.raises(StoreUnusableError, match="not a database"):
        prepare(database)


@pytest.mark.parametrize("table", ["items", "instance_totals"])
def test_every_component_of_the_count_vector_has_its_column(database: Path, table: str) -> None:
    prepare(database)
    columns = rows(database, f"PRAGMA table_info({table})")
    counts = [name for _, name, kind, *_ in columns if kind == "INTEGER" and name in COMPONENTS]
    assert tuple(counts) == COMPONENTS


def test_every_table_is_strict(database: Path) -> None:
    prepare(database)
    loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict"
    assert [name for (name,) in rows(database, loose) if not name.startswith("sqlite_")] == []
