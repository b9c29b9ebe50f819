"""Reading beside the writer: a few threads, each with a read-only connection of its own.

In WAL a reader sees the last commit and waits for nobody. It reads in a thread because the file may
have to come from a disk, and an event loop waits for no disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import TypeVar

from agentspec_usage.store.sqlite.opening import open_reader

__all__ = ["Readers"]

Result = TypeVar("Result")

_THREADS = 2


class Readers:
    """Runs reads until ``stop``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = local()
        self._connections: list[sqlite3.Connection] = []
        self._pool = ThreadPoolExecutor(_THREADS, "store-reader", self._open)

    def submit(self, read: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """The result of ``read``, which sees everything that is committed by now, and all of it at
        one moment, however many statements it is made of."""
        return self._pool.submit(self._run, read)

    def stop(self) -> None:
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _run(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        connection = self._local.connection
        connection.execute("BEGIN")
        try:
            return read(connection)
        finally:
            connection.execute("COMMIT")

    def _open(self) -> None:
        self._local.connection = open_reader(self._path)
        self._connections.append(self._local.connection)
