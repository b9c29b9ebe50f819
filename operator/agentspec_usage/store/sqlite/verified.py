"""Verifying a database file: also a backup's, or one beside a control plane that runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from agentspec_usage.store.errors import StoreUnusableError
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.rollups import BUCKETS, DAYS
from agentspec_usage.store.sql.verifying import Helpers, verify
from agentspec_usage.store.sqlite.opening import open_verified, schema_difference

__all__ = ["SqliteChecks", "verify_connection", "verify_file"]


class SqliteChecks:
    """What SQLite can say of a file of this program."""

    def schema(self, connection: Connection) -> str:
        return schema_difference(connection)

    def indexes(self, connection: Connection) -> Iterable[tuple[str, str]]:
        for table in ("items", BUCKETS, DAYS, "usage_events"):
            (said,) = connection.execute(f"PRAGMA integrity_check({table})").fetchone()
            if said != "ok":
                yield table, said

    def garbled(self, error: Exception) -> bool:
        of_text = isinstance(error, sqlite3.OperationalError)
        return of_text and str(error).startswith("Could not decode")


def verify_connection(
    connection: Connection,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Callable[[int], None] = lambda rows: None,
    helpers: Helpers | None = None,
) -> Verified:
    """Verify what ``connection`` reads, at one moment."""
    connection.execute("BEGIN")
    try:
        return verify(
            connection,
            SqliteChecks(),
            is_signed=is_signed,
            kept=kept,
            progress=progress,
            helpers=helpers,
        )
    finally:
        connection.execute("COMMIT")


def verify_file(
    path: Path,
    *,
    is_signed: Callable[[SignedCheckpoint], bool] | None = None,
    kept: Sequence[SignedCheckpoint] = (),
    progress: Callable[[int], None] = lambda rows: None,
    helpers: Helpers | None = None,
) -> Verified:
    """Verify the database at ``path``. Raises ``StoreUnusableError`` where it cannot be read."""
    connection = open_verified(path)
    try:
        return verify_connection(
            connection, is_signed=is_signed, kept=kept, progress=progress, helpers=helpers
        )
    except sqlite3.Error as error:
        raise StoreUnusableError(f"{path}: {error}") from error
    finally:
        connection.close()
