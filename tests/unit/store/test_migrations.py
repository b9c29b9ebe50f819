"""A blank database and an old one arrive at the same tables; another program's is left alone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentspec_usage.metering.counts import COMPONENTS
from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.sql.schema import APPLICATION_ID, VERSION
from agentspec_usage.store.sqlite.opening import migrate, open_writer, prepare

SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


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


def test_what_an_old_database_holds_is_still_there(file: Path) -> None:
    with closing(open_writer(file)) as connection:
        migrate(connection, upto=1)
        connection.execute(
            "INSERT INTO agents (agent_id, namespace, name, runtime, registered_at) "
            "VALUES ('agt_1', 'team', 'agent', 'k8s', 1)"
        )
    prepare(file)
    assert rows(file, "SELECT agent_id, name FROM agents") == [("agt_1", "agent")]


def test_preparing_twice_changes_nothing(file: Path) -> None:
    prepare(file)
    before = rows(file, SCHEMA)
    prepare(file)
    assert rows(file, SCHEMA) == before


def test_a_step_that_fails_leaves_the_database_as_it_was(file: Path) -> None:
    with closing(open_writer(file)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("CREATE TABLE items (mine TEXT)")
    before = rows(file, SCHEMA)
    with pytest.raises(StoreUnusableError, match="items already exists"):
        prepare(file)
    assert rows(file, SCHEMA) == before
    assert rows(file, "PRAGMA user_version") == [(0,)]


def test_a_database_of_a_later_version_is_refused(file: Path) -> None:
    prepare(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(StoreUnusableError, match=f"is of version {VERSION + 1}"):
        prepare(file)


def test_another_programs_database_is_refused_and_left_alone(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    with pytest.raises(StoreUnusableError, match="another program's database"):
        prepare(file)
    assert rows(file, "SELECT name FROM sqlite_schema") == [("notes",)]


def test_a_file_that_is_no_database_is_refused(file: Path) -> None:
    file.write_text("a letter to my accountant, long enough to be one\n" * 40)
    with pytest.raises(StoreUnusableError, match="not a database"):
        prepare(file)


@pytest.mark.parametrize("table", ["items", "instance_totals"])
def test_every_component_of_the_count_vector_has_its_column(file: Path, table: str) -> None:
    prepare(file)
    columns = rows(file, f"PRAGMA table_info({table})")
    counts = [name for _, name, kind, *_ in columns if kind == "INTEGER" and name in COMPONENTS]
    assert tuple(counts) == COMPONENTS


def test_every_table_is_strict(file: Path) -> None:
    prepare(file)
    loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND NOT strict"
    assert [name for (name,) in rows(file, loose) if not name.startswith("sqlite_")] == []
