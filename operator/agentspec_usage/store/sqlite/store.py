"""The store in a SQLite file."""

from __future__ import annotations

from pathlib import Path

from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sql.store import SqlStore
from agentspec_usage.store.sql.writer import WriterLimits
from agentspec_usage.store.sqlite.database import SqliteDatabase

__all__ = ["SqliteStore"]


class SqliteStore(SqlStore):
    """The store in the file at ``path``, which this process has alone until ``close``.

    Raises ``StoreUnusableError`` when the file cannot be had or is not for this program.
    """

    def __init__(
        self, path: Path, limits: WriterLimits | None = None, book: PriceBook = NO_PRICES
    ) -> None:
        super().__init__(SqliteDatabase(path), limits, book)
