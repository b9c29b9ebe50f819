"""Opening the database: by which rules, and at which version.

* WAL, so that readers and the writer do not wait for each other.
* ``synchronous=FULL``: a commit returns when it is on the disk. In simulated power losses
  (tests/simulation) FULL loses none of the acknowledged commits and NORMAL does: what is
  acknowledged here is deleted at its sender.
* The file is the owner's alone: it holds who used what.
* Readers open it read-only, so that no defect of theirs can write.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from agentspec_usage.runtime.ids import draw_128_bits
from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.schema import APPLICATION_ID, MIGRATIONS, VERSION
from agentspec_usage.store.sqlite.connection import SqliteConnection

__all__ = [
    "migrate",
    "open_reader",
    "open_verified",
    "open_writer",
    "prepare",
    "schema_difference",
    "settle_writer",
]

BUSY_SECONDS = 5.0
"""How long a transaction waits for a lock that another program (a backup, an administrator's
``sqlite3``) holds, before it fails."""

_LARGEST_WAL = 64 * 1024 * 1024


def prepare(path: Path) -> None:
    """Make the database if there is none, and bring it to this program's version."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnusableError(f"{path}: {error.strerror}") from error
    try:
        connection = open_writer(path)
        try:
            migrate(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreUnusableError(f"{path}: {error}") from error


def migrate(connection: Connection, upto: int = VERSION) -> None:
    """Take the steps that the database has not taken, up to version ``upto``; all or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _pragma(connection, "user_version")
        application = _pragma(connection, "application_id")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if application != APPLICATION_ID and tables:
            raise StoreUnusableError("expected a usage store: this is another program's database")
        if version > VERSION:
            raise StoreUnusableError(
                f"the database is of version {version}, this program knows up to {VERSION}: "
                "run the newer program, or restore the backup made before it"
            )
        for step in MIGRATIONS[version:upto]:
            for statement in connection.dialect.statements(step):
                connection.execute(statement)
        if version < upto:
            connection.execute(
                "INSERT INTO ledger SELECT 1, ?, 1 WHERE NOT EXISTS (SELECT 1 FROM ledger)",
                (draw_128_bits(),),
            )
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {upto}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def open_writer(path: Path) -> SqliteConnection:
    """The connection that writes. Transactions are begun and ended by hand."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        cached_statements=256,
        factory=SqliteConnection,
    )
    try:
        settle_writer(connection)
    except StoreUnusableError as error:
        connection.close()
        raise StoreUnusableError(f"{path}: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection


def settle_writer(connection: Connection) -> None:
    """Make a fresh connection the one that writes."""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreUnusableError(
            f"expected a file system on which SQLite can use a WAL, got {mode!r}"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    # A savepoint that outgrows its cache would need a temporary directory that can be written.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {_LARGEST_WAL}")


def open_reader(path: Path) -> SqliteConnection:
    """A connection that cannot write. Whoever has it uses it from one thread at a time."""
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=SqliteConnection,
    )
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def open_verified(path: Path) -> SqliteConnection:
    """A reader of a database that is of this program and of its version.

    Raises ``StoreUnusableError`` for another one: nothing is migrated, evidence is only read.
    """
    if not path.is_file():
        raise StoreUnusableError(f"{path}: expected a usage database")
    connection = open_reader(path)
    try:
        application = _pragma(connection, "application_id")
        version = _pragma(connection, "user_version")
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnusableError(f"{path}: {error}") from error
    if application != APPLICATION_ID or version != VERSION:
        connection.close()
        raise StoreUnusableError(
            f"{path}: expected a usage database of version {VERSION}, found version {version}: "
            "start the control plane of this version on it (or on a copy) once"
        )
    return connection


def schema_difference(connection: Connection) -> str:
    """What in the database was not made by this program: a trigger or a view, or a table or an
    index that is another one or is gone; "" when there is nothing. Indexes may be added."""
    blank = sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)
    try:
        migrate(blank)
        expected = _schema(blank)
    finally:
        blank.close()
    found = _schema(connection)
    for (kind, name), sql in found.items():
        if kind in ("trigger", "view") or expected.get((kind, name), sql) != sql:
            return f"{kind} {name}"
    return next((f"{kind} {name}" for kind, name in expected if (kind, name) not in found), "")


def _schema(connection: Connection) -> dict[tuple[str, str], str | None]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")
    return {(kind, name): sql for kind, name, sql in rows}


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
