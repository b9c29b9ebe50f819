"""Which database a text means: a file's path is SQLite's, a ``postgresql://`` URL a server's.

The URL may hold a password. What may be shown of it is ``shown_database``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from agentspec_usage.errors import MissingExtraError
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.connection import Connection, Database
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.sql.verifying import Helpers
from agentspec_usage.store.sql.writer import WriterLimits
from agentspec_usage.store.sqlite.database import SqliteDatabase
from agentspec_usage.store.sqlite.opening import open_verified
from agentspec_usage.store.sqlite.verified import verify_file

__all__ = [
    "is_url",
    "open_database",
    "open_existing",
    "open_store",
    "reading",
    "shown_database",
    "verify_database",
]


def is_url(database: str) -> bool:
    """Whether ``database`` is meant as the URL of a server, and not as a file's path."""
    return database.startswith(("postgresql://", "postgres://"))


def shown_database(database: str) -> str:
    """``database`` without its password. Raises ``StoreUnusableError`` for a URL that is none."""
    if not is_url(database):
        return database
    with _driver():
        from agentspec_usage.store.postgresql.address import read_address
    return str(read_address(database))


def open_store(
    database: str, limits: WriterLimits | None = None, book: PriceBook = NO_PRICES
) -> SqlStore:
    """The store in ``database``, until it is closed. Raises ``StoreUnusableError`` where it cannot
    be had or is not for this program.
    """
    return SqlStore(open_database(database), limits, book)


def open_existing(database: str, book: PriceBook = NO_PRICES) -> SqlStore:
    """The same, and no file is made: whoever works on what is stored meant one that is there."""
    if not is_url(database) and not Path(database).is_file():
        raise StoreUnusableError(f"{database}: expected a usage database")
    return open_store(database, book=book)


def open_database(database: str) -> Database:
    """What a store is kept in, made where there is none and brought to this program's version."""
    if not is_url(database):
        return SqliteDatabase(Path(database))
    with _driver():
        from agentspec_usage.store.postgresql.address import read_address
        from agentspec_usage.store.postgresql.database import PostgresDatabase
        from agentspec_usage.store.postgresql.opening import prepare
    address = read_address(database)
    prepare(address)
    return PostgresDatabase(address, SystemClock().monotonic)


@contextmanager
def reading(database: str) -> Iterator[Connection]:
    """One moment of a database that may be in use, or be a backup: it is only read.

    Raises ``StoreUnusableError`` where it cannot be read.
    """
    if is_url(database):
        with _driver():
            from agentspec_usage.store.postgresql.address import read_address
            from agentspec_usage.store.postgresql.verified import reading_server
        with reading_server(read_address(database)) as connection:
            yield connection
        return
    with closing(open_verified(Path(database))) as file:
        try:
            file.execute("BEGIN")
            yield file
        except sqlite3.Error as error:
            raise StoreUnusableError(f"{database}: {error}") from error


def verify_database(
    database: str,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Callable[[int], None] = lambda rows: None,
    helpers: Helpers | None = None,
) -> Verified:
    """Verify ``database``. Raises ``StoreUnusableError`` where it cannot be read."""
    if not is_url(database):
        return verify_file(
            Path(database), is_signed=is_signed, kept=kept, progress=progress, helpers=helpers
        )
    with _driver():
        from agentspec_usage.store.postgresql.address import read_address
        from agentspec_usage.store.postgresql.verified import verify_server
    address = read_address(database)
    return verify_server(
        address, is_signed=is_signed, kept=kept, progress=progress, helpers=helpers
    )


@contextmanager
def _driver() -> Iterator[None]:
    """psycopg, and the library that it is a driver of."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError("PostgreSQL", "controlplane") from error
