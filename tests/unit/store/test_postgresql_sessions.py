"""What a session at the server may do, and for how long."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from agentspec_usage.store.opening import open_store
from agentspec_usage.store.postgresql.address import Address, read_address
from agentspec_usage.store.postgresql.connection import PostgresConnection
from agentspec_usage.store.postgresql.database import PostgresDatabase
from agentspec_usage.store.postgresql.sessions import READER, WRITER, connect
from tests.fakes.hand_clock import HandClock
from tests.fixtures.postgresql import of_its_own


@pytest.fixture
def address(postgresql: str) -> Address:
    open_store(postgresql).close()
    return read_address(postgresql)


@pytest.fixture
def database(address: Address) -> PostgresDatabase:
    return PostgresDatabase(address, HandClock().monotonic)


@pytest.fixture
def careless(address: Address) -> Iterator[Address]:
    """The same for a role whose commits do not wait for the disk."""
    role = f"careless_{secrets.token_hex(4)}"
    with psycopg.connect(str_of(address), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN SUPERUSER".encode())
        admin.execute(f"ALTER ROLE {role} SET synchronous_commit = off".encode())
    yield Address({**address.parameters, "user": role})
    with psycopg.connect(str_of(address), autocommit=True) as admin:
        admin.execute(f"DROP ROLE {role}".encode())


def str_of(address: Address) -> str:
    return psycopg.conninfo.make_conninfo(**address.parameters)


def setting(connection: PostgresConnection, name: str) -> str:
    found = connection.execute("SELECT current_setting(?)", (name,)).fetchone()
    return str(found[0])


def test_a_commit_waits_for_the_disk_whatever_the_role_is_set_to(careless: Address) -> None:
    with closing(connect(careless, READER)) as as_it_is:
        found = as_it_is.execute("SELECT current_setting('synchronous_commit')").fetchone()
        assert found == ("off",)
    with closing(PostgresDatabase(careless, HandClock().monotonic).writer()) as writer:
        writer.begin("READ WRITE")
        assert setting(writer, "synchronous_commit") == "on"


def test_what_is_stronger_than_the_disk_stays(address: Address) -> None:
    strong = Address({**address.parameters, "options": "-c synchronous_commit=remote_apply"})
    with closing(connect(strong, WRITER)) as session:
        found = session.execute("SELECT current_setting('synchronous_commit')").fetchone()
        assert found == ("remote_apply",)


def test_a_server_that_does_not_write_through_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with of_its_own("fsync=off") as server:
        with closing(connect(read_address(server.url), WRITER)):
            pass
    assert [record.message for record in caplog.records] == [
        "the server runs with fsync off: what is acknowledged is lost with its power"
    ]


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("DELETE FROM agents", id="a row"),
        pytest.param("DROP TABLE agents", id="a table"),
        pytest.param("SELECT * FROM ledger FOR UPDATE", id="the head of the chain"),
    ],
)
def test_a_reader_cannot_write(database: PostgresDatabase, statement: str) -> None:
    with closing(database.reader()) as reader:
        database.begin_reading(reader)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.execute(statement)


def test_a_reader_sees_one_moment(database: PostgresDatabase) -> None:
    count = "SELECT count(*) FROM ledger"
    with closing(database.reader()) as reader, closing(database.writer()) as writer:
        database.begin_reading(reader)
        assert reader.execute(count).fetchone() == (1,)
        database.begin_writing(writer)
        writer.execute("DELETE FROM ledger")
        writer.execute("COMMIT")
        assert reader.execute(count).fetchone() == (1,)
        reader.execute("COMMIT")
        database.begin_reading(reader)
        assert reader.execute(count).fetchone() == (0,)


def test_who_writes_has_the_head_of_the_chain_alone(database: PostgresDatabase) -> None:
    with closing(database.writer()) as first, closing(database.writer()) as second:
        database.begin_writing(first)
        second.begin("READ WRITE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute("SELECT id FROM ledger FOR UPDATE NOWAIT")
        second.execute("ROLLBACK")
        first.execute("COMMIT")
        database.begin_writing(second)


def test_the_server_ends_a_writer_that_does_not_go_on(
    database: PostgresDatabase, address: Address
) -> None:
    with closing(database.writer()) as stuck, closing(database.writer()) as other:
        database.begin_writing(stuck)
        assert setting(stuck, "idle_in_transaction_session_timeout") == "10s"
        assert setting(stuck, "lock_timeout") == "15s"
        stuck.execute("SET idle_in_transaction_session_timeout = '50ms'")
        database.begin_writing(other)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout) as ended:
            stuck.execute("COMMIT")
        assert database.is_lost(ended.value)
        assert stuck.in_transaction


def test_a_read_that_takes_too_long_is_ended(database: PostgresDatabase) -> None:
    with closing(database.reader()) as reader:
        database.begin_reading(reader)
        assert setting(reader, "statement_timeout") == "30s"
        reader.execute("SET LOCAL statement_timeout = '50ms'")
        with pytest.raises(psycopg.errors.QueryCanceled) as ended:
            reader.execute("SELECT pg_sleep(20)")
        assert database.reason(ended.value) == "QueryCanceled"


@pytest.mark.parametrize(
    ("statement", "is_lost"),
    [
        pytest.param("INSERT INTO ledger VALUES (1, '', 1)", False, id="a row that is there"),
        pytest.param("INSERT INTO ledger VALUES (2, '', 1)", False, id="a row that may not be"),
        pytest.param("INSERT INTO ledger VALUES (9999999999999999999, '', 1)", False, id="a value"),
        pytest.param("SELECT * FROM no_such_table", True, id="a table that is gone"),
        pytest.param("SELECT pg_terminate_backend(pg_backend_pid())", True, id="a session's end"),
    ],
)
def test_an_error_fails_its_job_alone_or_the_transaction(
    database: PostgresDatabase, statement: str, is_lost: bool
) -> None:
    with closing(database.writer()) as writer:
        database.begin_writing(writer)
        with pytest.raises(psycopg.Error) as failed:
            writer.execute(statement)
        assert database.is_lost(failed.value) is is_lost
        assert "9999" not in database.reason(failed.value)


def test_a_statement_that_the_driver_refuses_fails_its_job_alone(
    database: PostgresDatabase,
) -> None:
    with closing(database.writer()) as writer:
        database.begin_writing(writer)
        with pytest.raises(psycopg.ProgrammingError) as refused:
            writer.execute("SELECT ?", (object(),))
        assert not database.is_lost(refused.value)
        assert not database.is_lost(ValueError("a job's own"))
