"""The store on a disk that remembers: every write, sync, truncation and deletion that SQLite makes.

A VFS is SQLite's own seam for this. The standard library's ``sqlite3`` has no way to it, ``apsw``
has; what runs on it is the shipped store, with the shipped settings of its connections. Its files
are real ones all the same, and the images that a power loss leaves are opened by ``sqlite3``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

import apsw

from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.connection import Connection, Rows
from agentspec_usage.store.sql.dialect import Dialect
from agentspec_usage.store.sqlite.connection import SQLITE
from agentspec_usage.store.sqlite.opening import BUSY_SECONDS, migrate, settle_writer
from agentspec_usage.store.sqlite.verified import verify_connection
from tests.simulation.power_loss_disk import (
    Created,
    Deleted,
    Event,
    Synced,
    Truncated,
    Written,
)

__all__ = ["RecordedDatabase", "Recording"]

_NUMBERS = count()
_WITH_DIRECTORY = (
    apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
)
"""Files whose first sync also syncs their directory, as SQLite's own VFS for Unix does it."""


class Recording:
    """What happened to the files, in the order in which it happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._names: set[str] = set()
        self._lock = Lock()

    @property
    def moment(self) -> int:
        """How much has happened."""
        return len(self.events)

    def created(self, name: str) -> bool:
        """Tell that the file is there. Whether it is new."""
        with self._lock:
            new = name not in self._names
            if new:
                self._names.add(name)
                self.events.append(Created(name))
            return new

    def deleted(self, name: str, synced: bool) -> None:
        with self._lock:
            self._names.discard(name)
            self.events.append(Deleted(name, synced))

    def add(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)


class _RecordedFile(apsw.VFSFile):
    def __init__(self, recording: Recording, name: str, flags: list[int], filename: Any) -> None:
        super().__init__("", filename, flags)
        self._recording = recording
        self._name = name
        self._with_directory = recording.created(name) and bool(flags[0] & _WITH_DIRECTORY)

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._recording.add(Written(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._recording.add(Truncated(self._name, newsize))

    def xSync(self, flags: int) -> None:
        # The real file need not be synced: nobody switches this machine off.
        self._recording.add(Synced(self._name, self._with_directory))
        self._with_directory = False


class _RecordedFiles(apsw.VFS):
    """SQLite's VFS for this system, and a note of what passes through it."""

    def __init__(self, name: str, recording: Recording) -> None:
        super().__init__(name, "")
        self._recording = recording

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        assert path is not None, "a temporary file: its loss would not be noticed"
        return _RecordedFile(self._recording, os.path.basename(path), flags, name)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._recording.deleted(os.path.basename(filename), syncdir)


class _Rows:
    def __init__(self, connection: apsw.Connection, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self.rowcount = connection.changes()

    def fetchone(self) -> Any:
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)


class _Connected:
    """A connection of apsw, as the portable statements want it."""

    def __init__(self, path: Path, vfs: str, flags: int) -> None:
        self._connection = apsw.Connection(str(path), flags, vfs)
        self._connection.set_busy_timeout(int(BUSY_SECONDS * 1000))

    @property
    def dialect(self) -> Dialect:
        return SQLITE

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Rows:
        return _Rows(self._connection, self._connection.execute(sql, tuple(values)))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        return self._connection.executemany(sql, rows)

    def insert(
        self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], /
    ) -> None:
        marks = ", ".join("?" * len(columns))
        self.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def stream(self, sql: str, values: Sequence[Any] = (), /) -> Generator[Any, None, None]:
        yield from self.execute(sql, values)

    def close(self) -> None:
        self._connection.close()


class RecordedDatabase:
    """A database of the store, at ``path``, of which everything is recorded.

    ``synchronous`` is set beside the shipped settings, to see what another one would lose.
    """

    errors: tuple[type[Exception], ...] = (apsw.Error,)

    def __init__(self, path: Path, recording: Recording, synchronous: str = "") -> None:
        self._path = path
        self._name = f"recorded-{next(_NUMBERS)}"
        self._vfs = _RecordedFiles(self._name, recording)
        self._synchronous = synchronous
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        recording.created(path.name)
        connection = self.writer()
        try:
            migrate(connection)
        finally:
            connection.close()

    def writer(self) -> Connection:
        connection = self._connect(apsw.SQLITE_OPEN_READWRITE)
        settle_writer(connection)
        # A short life has several checkpoints, as a long one has with the default.
        connection.execute("PRAGMA wal_autocheckpoint = 100")
        if self._synchronous:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        return connection

    def reader(self) -> Connection:
        return self._connect(apsw.SQLITE_OPEN_READONLY)

    def _connect(self, flags: int) -> Connection:
        return _Connected(self._path, self._name, flags)

    def begin_writing(self, connection: Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")

    def begin_reading(self, connection: Connection) -> None:
        connection.execute("BEGIN")

    def closing(self, connection: Connection) -> None:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def is_lost(self, error: Exception) -> bool:
        return not isinstance(error, apsw.ConstraintError)

    def reason(self, error: Exception) -> str:
        return type(error).__name__

    def verify(self, progress: Callable[[int], None]) -> Verified:
        with closing(self.reader()) as connection:
            return verify_connection(connection, progress=progress)

    def close(self) -> None:
        with suppress(apsw.Error):
            self._vfs.unregister()
