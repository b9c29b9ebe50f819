"""Reading beside the writer: a few threads, each with a read-only connection of its own.

A reader sees the last commit and waits for nobody. It reads in a thread because what it reads may
have to come from a disk, and an event loop waits for no disk.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import local
from typing import TypeVar

from agentspec_usage.store.sql.connection import Connection, Database

__all__ = ["Readers"]

Result = TypeVar("Result")

_THREADS = 2


class Readers:
    """Runs reads until ``stop``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = local()
        self._connections: list[Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, "store-reader")

    def submit(self, read: Callable[[Connection], Result]) -> Future[Result]:
        """The result of ``read``, which sees everything that is committed by now, and all of it at
        one moment, however many statements it is made of."""
        return self._pool.submit(self._run, read)

    def stop(self) -> None:
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _run(self, read: Callable[[Connection], Result]) -> Result:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._database.reader()
            self._local.connection = connection
            self._connections.append(connection)
        try:
            self._database.begin_reading(connection)
            result = read(connection)
            connection.execute("COMMIT")
        except self._database.errors:
            # Whatever state it is in, the next read begins with a new one.
            self._drop(connection)
            raise
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        return result

    def _drop(self, connection: Connection) -> None:
        self._local.connection = None
        self._connections.remove(connection)
        with suppress(*self._database.errors):
            connection.close()
