"""The server as the store's database: its sessions, its transactions, and what its errors mean.

Several programs write to one database. Each of their transactions locks the ledger's row before it
does anything else, so they take turns like the jobs of one program do, and nothing that was locked
after it can be waited for crosswise. Measured: one chain carries 40,000 rows a second this way;
with the head locked last, the sums' rows deadlock. No lock on the database as a whole is needed, as
SQLite's has: nothing that a program answers rests on what it remembers. It remembers only the
numbers of series, prices and accounts, which are given once and never change.

A connection that is lost fails the transaction that was under way, and the next one begins on a
new connection. A COMMIT that was not answered counts as failed: whoever sent it sends it again, and
what was applied after all is not applied twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import psycopg

from agentspec_usage.store.postgresql.address import Address
from agentspec_usage.store.postgresql.connection import ONE_MOMENT, Driver, PostgresConnection
from agentspec_usage.store.postgresql.pausing import Pause
from agentspec_usage.store.postgresql.sessions import READER, WRITER, connect
from agentspec_usage.store.postgresql.verified import verify_server
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.connection import Connection

__all__ = ["PostgresDatabase"]

_OF_THE_JOB = (psycopg.IntegrityError, psycopg.DataError)


class PostgresDatabase:
    """The database at ``address``. ``monotonic`` (seconds) keeps attempts to reach it apart."""

    def __init__(self, address: Address, monotonic: Callable[[], float]) -> None:
        self._address = address
        self._pause = Pause(monotonic)

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (psycopg.Error,)

    def writer(self) -> PostgresConnection:
        return PostgresConnection(lambda: self._session(WRITER))

    def reader(self) -> PostgresConnection:
        return PostgresConnection(lambda: self._session(READER))

    def begin_writing(self, connection: Connection) -> None:
        assert isinstance(connection, PostgresConnection)
        connection.begin("ISOLATION LEVEL READ COMMITTED READ WRITE")
        connection.execute("SELECT id FROM ledger FOR UPDATE")

    def begin_reading(self, connection: Connection) -> None:
        assert isinstance(connection, PostgresConnection)
        connection.begin(ONE_MOMENT)

    def closing(self, connection: Connection) -> None:
        """Nothing: what is committed is where it belongs."""

    def is_lost(self, error: Exception) -> bool:
        if not isinstance(error, psycopg.Error) or isinstance(error, _OF_THE_JOB):
            return False
        # A statement that the driver itself refuses has not reached the server.
        return not isinstance(error, psycopg.ProgrammingError) or error.sqlstate is not None

    def reason(self, error: Exception) -> str:
        # The message quotes rows; the name says which of PostgreSQL's conditions it is.
        return type(error).__name__

    def verify(self, progress: Callable[[int], None]) -> Verified:
        return verify_server(self._address, progress=progress)

    def close(self) -> None:
        """Nothing: no connection is held here."""

    def _session(self, session: Mapping[str, str]) -> Driver:
        return self._pause.attempt(lambda: connect(self._address, session), psycopg.Error)
