"""The shipped SQLite store in the simulation: its threads, its transactions, its file.

A process that dies before its COMMIT is made by a commit that SQLite itself refuses (a trigger that
leaves a deferred foreign key broken), one that dies after it by an answer that nobody hears. A
backup is a copy of the file, a restore puts it back under a store that was closed.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from functools import cache
from pathlib import Path

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.frame import bucket_of
from agentspec_usage.metering.periods import DAY_MS
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.sql.instances import watermark_of
from agentspec_usage.store.sql.rollups import BUCKETS, DAYS
from agentspec_usage.store.sqlite.connection import SqliteConnection
from agentspec_usage.store.sqlite.store import SqliteStore
from agentspec_usage.store.values import DigestedFrame, NewKey, Registration
from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_answer import RecordsAnswer, encode_records_answer
from agentspec_usage.wire.records_encoding import frame_digest
from tests.simulation.frame_store import Crashed, Stored
from tests.simulation.laws import hold

__all__ = ["SqliteFrameStore"]

_AGENT = "agt_" + "0" * 32
_NOW = 1_700_000_000_000 + 10 * DAY_MS
"""Days after the programs begin, so later than any of their clocks and no later than is believed:
what a wrong clock does to times is tested elsewhere."""

_COUNTS = ", ".join(COMPONENTS)
_KEY_COLUMNS = tuple(field.name for field in fields(SeriesKey))
_KEY = ", ".join(_KEY_COLUMNS)
_SUMS = ", ".join(f"coalesce(sum({name}), 0)" for name in COMPONENTS)

_MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory: what a disk takes for a flush proves nothing here."""


_CRASHES = """
    CREATE TABLE crashing (once INTEGER);
    CREATE TABLE crashes (
        of INTEGER REFERENCES crashing (once) DEFERRABLE INITIALLY DEFERRED
    );
    CREATE UNIQUE INDEX crashing_once ON crashing (once);
    CREATE TRIGGER crash AFTER UPDATE OF seq ON instances WHEN EXISTS (SELECT 1 FROM crashing)
    BEGIN INSERT INTO crashes VALUES (-1); END;
"""
"""While ``crashing`` has a row, a transaction that moves a watermark cannot be committed."""


class SqliteFrameStore:
    """One agent's frames, in a file that ``close`` removes."""

    _store: SqliteStore

    def __init__(self) -> None:
        memory = _MEMORY if _MEMORY.is_dir() else None
        self._directory = tempfile.TemporaryDirectory(prefix="agentspec-usage-", dir=memory)
        self._path = Path(self._directory.name) / "usage.db"
        self._backup = Path(self._directory.name) / "backup.db"
        self._backup.write_bytes(_empty_database())
        self._loop = asyncio.new_event_loop()
        self._seen: dict[str, Stored] = {}
        self.restore()

    def receive(self, body: bytes, *, crash: str = "") -> bytes:
        frames = tuple(DigestedFrame(frame, frame_digest(frame)) for frame in decode_records(body))
        self._seen.clear()
        if crash == "before":
            self._execute("INSERT INTO crashing VALUES (1)")
        try:
            applied = self._loop.run_until_complete(
                self._store.apply_frames(_AGENT, frames, _NOW, len(body))
            )
        except (StoreError, sqlite3.Error):
            # Refused or failed: a request that is answered with an error, and made again.
            raise Crashed from None
        finally:
            if crash == "before":
                self._execute("DELETE FROM crashing")
        if crash == "after":
            raise Crashed
        lost = any(digested.frame.lost for digested in frames)
        hold("I5", lost or not applied.rolled_back, f"calls are missing before {frames}")
        return encode_records_answer(RecordsAnswer(applied.answers.durable, applied.answers.gaps))

    def stored(self, instance_id: str) -> Stored:
        if instance_id not in self._seen:
            with closing(sqlite3.connect(self._path, factory=SqliteConnection)) as connection:
                self._seen[instance_id] = _stored(connection, instance_id)
                _check_sums(connection)
        return self._seen[instance_id]

    def back_up(self) -> None:
        with (
            closing(sqlite3.connect(self._path)) as source,
            closing(sqlite3.connect(self._backup)) as target,
        ):
            source.backup(target)

    def restore(self) -> None:
        if self._path.exists():
            self._store.close()
        shutil.copyfile(self._backup, self._path)
        self._seen.clear()
        self._store = SqliteStore(self._path)

    def close(self) -> None:
        self._store.close()
        self._loop.close()
        self._directory.cleanup()

    def _execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute(statement)


@cache
def _empty_database() -> bytes:
    """A database with one agent; made once, since every program begins with it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "usage.db"
        store = SqliteStore(path)
        key = NewKey("k", bytes(32), _NOW)
        agent = Registration(_AGENT, "n", "a", "local", key, old_key_until=0)
        asyncio.run(store.register(agent, 0))
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_CRASHES)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def _stored(connection: SqliteConnection, instance_id: str) -> Stored:
    agent = connection.execute("SELECT agent FROM agents").fetchone()[0]
    stored = Stored(mark=watermark_of(connection, agent, instance_id))
    for kind, coarse, at, key, counts in _items(connection, instance_id):
        if kind == "lost":
            stored.missing += counts
            continue
        stored.items += counts
        stored.cells[key] = stored.cells.get(key, ZERO) + counts
        if not coarse:
            cell = key, bucket_of(at)
            stored.timely[cell] = stored.timely.get(cell, ZERO) + counts
    return stored


def _items(
    connection: sqlite3.Connection, instance_id: str
) -> Iterator[tuple[str, bool, int, SeriesKey, TokenCounts]]:
    rows = connection.execute(
        f"SELECT kind, coarse, at, {_KEY}, {_COUNTS} FROM items JOIN series USING (series) "
        "JOIN instances USING (instance) WHERE instance_id = ?",
        (instance_id,),
    )
    for kind, coarse, at, *rest in rows:
        key, counts = rest[: len(_KEY_COLUMNS)], rest[len(_KEY_COLUMNS) :]
        yield kind, bool(coarse), at, SeriesKey(*key), TokenCounts(*counts)


def _check_sums(connection: sqlite3.Connection) -> None:
    """What is kept as sums beside the items is the sum of the items."""
    sums = [
        TokenCounts(*connection.execute(f"SELECT {_SUMS} FROM {table}").fetchone())
        for table in ("items", BUCKETS, DAYS)
    ]
    hold("I10", sums[0] == sums[1] == sums[2], f"items, buckets and days sum to {sums}")
