"""A copy of the database as it is, and the database as the copy was."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["back_up", "restore"]


def back_up(database: Path, to: Path) -> None:
    """Copy what is committed, while the control plane runs."""
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(to)) as target,
    ):
        source.backup(target)


def restore(backup: Path, database: Path) -> None:
    """Put the copy in the database's place, while no control plane runs."""
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    database.write_bytes(backup.read_bytes())
