"""The file as a database of the store: who may open it, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sqlite.lock import DatabaseLock
from agentspec_usage.store.sqlite.opening import open_reader, open_writer, prepare
from agentspec_usage.store.sqlite.verified import verify_file

__all__ = ["READ_SECONDS", "SqliteDatabase"]

READ_SECONDS = 30.0
"""After which a statement that reads is given up: whoever asked has gone, and its thread is one of
few. The same as on a server."""

_OF_ONE_STATEMENT = (
    sqlite3.IntegrityError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
)


class SqliteDatabase:
    """The database in the file at ``path``, which this process has alone until ``close``.

    Raises ``StoreUnusableError`` when the file cannot be had or is not for this program.
    """

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = DatabaseLock(path)
        try:
            prepare(path)
        except BaseException:
            self._lock.release()
            raise

    def writer(self) -> Connection:
        return open_writer(self._path)

    def reader(self) -> Connection:
        connection = open_reader(self._path)
        connection.limit(READ_SECONDS, SystemClock().monotonic)
        return connection

    def begin_writing(self, connection: Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def begin_reading(self, connection: Connection) -> None:
        connection.execute("BEGIN")

    def closing(self, connection: Connection) -> None:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def is_lost(self, error: Exception) -> bool:
        return not isinstance(error, _OF_ONE_STATEMENT)

    def reason(self, error: Exception) -> str:
        return getattr(error, "sqlite_errorname", "") or type(error).__name__

    def verify(self, progress: Callable[[int], None]) -> Verified:
        return verify_file(self._path, progress=progress)

    def close(self) -> None:
        self._lock.release()
