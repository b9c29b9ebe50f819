"""The SQLite store: ``IngestStore`` and ``UsageQueries`` over one writer and a few readers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TypeVar

from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.store.errors import StoreUnavailableError
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.rows import RowEncoder
from agentspec_usage.store.queries import DaySum, Position, StoredCalls, UsageFilter, UsageSums
from agentspec_usage.store.sqlite import agents, heartbeats, history, instances, sums
from agentspec_usage.store.sqlite.charges import NO_PRICES, Charges
from agentspec_usage.store.sqlite.frames import apply_frames
from agentspec_usage.store.sqlite.items import SeriesNumbers
from agentspec_usage.store.sqlite.journal import Signer, newest_checkpoint, sign_head
from agentspec_usage.store.sqlite.lock import DatabaseLock
from agentspec_usage.store.sqlite.opening import open_writer, prepare
from agentspec_usage.store.sqlite.readers import Readers
from agentspec_usage.store.sqlite.writer import Writer, WriterLimits, WriterStats
from agentspec_usage.store.values import (
    Agent,
    AgentSummary,
    Applied,
    DigestedFrame,
    Registration,
    StoredHeartbeat,
    StoredKey,
)
from agentspec_usage.wire.heartbeat import Heartbeat

__all__ = ["SqliteStore"]

Result = TypeVar("Result")


class SqliteStore:
    """The store in the file at ``path``, which this process has alone until ``close``.

    Items are charged by ``book`` as they are stored.

    Raises ``StoreUnusableError`` when the file cannot be had or is not for this program.
    """

    def __init__(
        self, path: Path, limits: WriterLimits | None = None, book: PriceBook = NO_PRICES
    ) -> None:
        self._lock = DatabaseLock(path)
        try:
            prepare(path)
        except BaseException:
            self._lock.release()
            raise
        self._series = SeriesNumbers()
        self._encoder = RowEncoder()
        self._charges = Charges(book)
        self._writer = Writer(lambda: open_writer(path), limits, self._forget)
        self._writer.start()
        self._readers = Readers(path)
        # Sums and searches may take long; a key is looked up for every request, and waits for none.
        self._queries = Readers(path)

    @property
    def stats(self) -> WriterStats:
        return self._writer.stats

    @property
    def waiting(self) -> int:
        """Writes that wait for a transaction."""
        return self._writer.waiting

    @property
    def alive(self) -> bool:
        """Whether writes are still made."""
        return self._writer.alive

    def close(self) -> None:
        """Write what waits, and let go of the file. Blocks until then."""
        # The readers first: who closes last folds the WAL into the file and removes it.
        self._readers.stop()
        self._queries.stop()
        self._writer.stop()
        self._lock.release()

    async def register(self, registration: Registration, now: int) -> Agent:
        return await self._write(lambda c: agents.register_agent(c, registration, now))

    async def revoke(self, agent_id: str, now: int) -> None:
        await self._write(lambda c: agents.revoke_agent(c, agent_id, now))

    async def key(self, key_id: str, now: int) -> StoredKey | None:
        return await self._read(lambda c: agents.find_key(c, key_id, now))

    async def agents(self) -> Sequence[AgentSummary]:
        return await self._read(agents.summaries)

    async def agents_named(self, name: str) -> Sequence[Agent]:
        return await self._read(lambda c: agents.agents_named(c, name))

    async def record_heartbeat(self, agent_id: str, heartbeat: Heartbeat, now: int) -> None:
        await self._write(lambda c: heartbeats.keep_heartbeat(c, agent_id, heartbeat, now))

    async def heartbeats(self, agent_id: str) -> Sequence[StoredHeartbeat]:
        return await self._read(lambda c: heartbeats.heartbeats_of(c, agent_id))

    async def apply_frames(
        self, agent_id: str, frames: Sequence[DigestedFrame], now: int, weight: int
    ) -> Applied:
        return await self._write(
            lambda c: apply_frames(
                c, self._series, self._encoder, self._charges, agent_id, frames, now
            ),
            weight,
        )

    async def durable(self, agent_id: str, instance_ids: Sequence[str]) -> dict[str, int]:
        return await self._read(lambda c: instances.durable_seqs(c, agent_id, instance_ids))

    async def sign_head(self, signer: Signer, now: int) -> SignedCheckpoint | None:
        """Sign where the journal stands, and keep that beside it; None when it is signed."""
        return await self._write(lambda c: sign_head(c, signer, now))

    async def newest_checkpoint(self) -> SignedCheckpoint | None:
        return await self._read(newest_checkpoint)

    async def sums(self, asked: UsageFilter) -> UsageSums:
        return await self._query(lambda c: sums.sums(c, asked))

    async def days(self, asked: UsageFilter, zone: tzinfo) -> Sequence[DaySum]:
        return await self._query(lambda c: sums.day_sums(c, asked, zone))

    async def calls(
        self, asked: UsageFilter, limit: int, offset: int = 0, after: Position | None = None
    ) -> StoredCalls:
        return await self._query(lambda c: history.calls(c, asked, limit, offset, after))

    def _forget(self) -> None:
        self._series.forget()
        self._charges.forget()

    async def _write(
        self, work: Callable[[sqlite3.Connection], Result], weight: int = 1024
    ) -> Result:
        return await asyncio.wrap_future(self._writer.submit(work, weight))

    async def _read(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._of(self._readers, read)

    async def _query(self, read: Callable[[sqlite3.Connection], Result]) -> Result:
        return await self._of(self._queries, read)

    async def _of(self, readers: Readers, read: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return await asyncio.wrap_future(readers.submit(read))
        except sqlite3.Error as error:
            raise StoreUnavailableError(getattr(error, "sqlite_errorname", "SQLITE")) from error
