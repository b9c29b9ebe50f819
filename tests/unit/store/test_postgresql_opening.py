"""Making the tables on a server: once, whoever comes, and never among another program's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.opening import open_store, reading, verify_database
from agentspec_usage.store.postgresql.address import read_address
from agentspec_usage.store.postgresql.connection import PostgresConnection
from agentspec_usage.store.postgresql.opening import migrate, prepare
from agentspec_usage.store.postgresql.sessions import MIGRATION, connect
from agentspec_usage.store.sql.schema import VERSION

TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_of_several_that_start_at_once_each_finds_the_same_tables(postgresql: str) -> None:
    address = read_address(postgresql)
    with ThreadPoolExecutor(6) as pool:
        for made in [pool.submit(prepare, address) for _ in range(6)]:
            made.result(60)
    assert ask(postgresql, "SELECT version FROM store_version") == [(VERSION,)]
    assert len(ask(postgresql, "SELECT id FROM ledger")) == 1


def test_opening_again_makes_nothing_anew(postgresql: str) -> None:
    open_store(postgresql).close()
    before = ask(postgresql, "SELECT id FROM ledger"), ask(postgresql, TABLES)
    open_store(postgresql).close()
    assert (ask(postgresql, "SELECT id FROM ledger"), ask(postgresql, TABLES)) == before


def test_a_step_that_fails_leaves_nothing_behind(postgresql: str) -> None:
    ask(postgresql, "CREATE VIEW day_sums AS SELECT 1")
    with pytest.raises(StoreUnusableError, match="day_sums"):
        prepare(read_address(postgresql))
    assert ask(postgresql, TABLES) == [(1,)]


def newer(url: str) -> None:
    open_store(url).close()
    ask(url, f"UPDATE store_version SET version = {VERSION + 1}")


def other_tables(url: str) -> None:
    ask(url, "CREATE TABLE items (price money)")


def other_version(url: str) -> None:
    ask(url, "CREATE TABLE store_version (application BIGINT, version BIGINT)")
    ask(url, "INSERT INTO store_version VALUES (1, 1)")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(newer, f"is of version {VERSION + 1}, this program knows up to", id="newer"),
        pytest.param(other_tables, "these are another program's tables", id="another's tables"),
        pytest.param(other_version, "these are another program's tables", id="another's versions"),
    ],
)
def test_a_database_that_is_not_for_this_program_is_left_alone(
    postgresql: str, make: Callable[[str], None], said: str
) -> None:
    make(postgresql)
    before = ask(postgresql, TABLES)
    with pytest.raises(StoreUnusableError, match=said):
        open_store(postgresql)
    assert ask(postgresql, TABLES) == before


def test_a_schema_that_is_not_there_is_asked_for(postgresql: str) -> None:
    ask(postgresql, "CREATE SCHEMA IF NOT EXISTS elsewhere")
    url = postgresql.partition("options=")[0] + "options=-csearch_path%3Dno_such_schema"
    with pytest.raises(StoreUnusableError, match="expected a schema to keep tables in"):
        open_store(url)


def test_a_database_in_another_encoding_is_refused(postgresql_server: str) -> None:
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS latin")
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    parameters = {**read_address(postgresql_server).parameters, "dbname": "latin"}
    host = parameters.pop("host").replace("/", "%2F")
    with pytest.raises(StoreUnusableError, match="expected a database whose encoding is UTF8"):
        open_store(f"postgresql://{parameters['user']}@/latin?host={host}")
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute("DROP DATABASE latin")


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(StoreUnusableError) as refused:
        open_store("postgresql://usage:s3cr3t@127.0.0.1:1/chargeback")
    assert "postgresql://usage@127.0.0.1:1/chargeback" in str(refused.value)
    assert "s3cr3t" not in f"{refused.value}{refused.value.__cause__}"


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(lambda url: verify_database(url), id="verifying"),
        pytest.param(lambda url: reading(url).__enter__(), id="reading"),
    ],
)
def test_who_only_reads_makes_no_tables(postgresql: str, look: Callable[[str], object]) -> None:
    with pytest.raises(StoreUnusableError, match=f"of version {VERSION}, found version 0"):
        look(postgresql)
    assert ask(postgresql, TABLES) == [(0,)]


def test_a_role_without_the_right_to_make_tables_can_use_those_that_are_there(
    postgresql: str,
) -> None:
    address = read_address(postgresql)
    with closing(PostgresConnection(lambda: connect(address, MIGRATION))) as connection:
        migrate(connection)
        connection.begin("READ WRITE")
        connection.execute("CREATE ROLE plain_user")
        connection.execute(
            "DO $do$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO plain_user', "
            "current_schema()); END $do$"
        )
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA pg_catalog TO plain_user")
        connection.execute("GRANT SELECT ON store_version TO plain_user")
        connection.execute("COMMIT")
        try:
            connection.begin("READ WRITE")
            connection.execute("SET SESSION ROLE plain_user")
            connection.execute("COMMIT")
            migrate(connection)
        finally:
            connection.begin("READ WRITE")
            connection.execute("RESET ROLE")
            connection.execute("DROP OWNED BY plain_user")
            connection.execute("DROP ROLE plain_user")
            connection.execute("COMMIT")
