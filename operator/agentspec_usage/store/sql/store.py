"""The store: ``IngestStore`` and ``UsageQueries`` over one writer and a few readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import TypeVar

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.event_sealing import EventFrame
from agentspec_usage.metering.models import ModelKey
from agentspec_usage.metering.periods import Span
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.pricing.focus.usage import DayUsage
from agentspec_usage.store.errors import (
    StoreBusyError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from agentspec_usage.store.events import CheckedBatch, FlushedEvents
from agentspec_usage.store.observed import AgentUsage
from agentspec_usage.store.periods import (
    WHEN_OVER,
    ClosedPeriod,
    ClosingRules,
    Period,
    PeriodStatement,
)
from agentspec_usage.store.proof.checkpoints import SignedCheckpoint
from agentspec_usage.store.proof.verified import Verified
from agentspec_usage.store.queries import (
    AgentName,
    DaySum,
    LedgerPosition,
    Position,
    StoredCalls,
    UsageFilter,
    UsageSums,
)
from agentspec_usage.store.remote import RemoteAgent
from agentspec_usage.store.repricing import Repriced
from agentspec_usage.store.retention import PruningPlan, Seal
from agentspec_usage.store.sql import (
    agents,
    event_batches,
    events,
    focus,
    heartbeats,
    history,
    instances,
    periods,
    remote,
    repricing,
    retention,
    sums,
)
from agentspec_usage.store.sql.agent_usage import agent_usage
from agentspec_usage.store.sql.charging import NO_PRICES, Charging
from agentspec_usage.store.sql.connection import Connection, Database
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.frames import apply_frames
from agentspec_usage.store.sql.journal import Signer, newest_checkpoint, sign_head
from agentspec_usage.store.sql.observing import observe
from agentspec_usage.store.sql.readers import Readers
from agentspec_usage.store.sql.tail import settle_tails
from agentspec_usage.store.sql.writer import Writer, WriterLimits, WriterStats
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
from agentspec_usage.wire.observed_encoding import Observation

__all__ = ["SqlStore"]

Result = TypeVar("Result")


class SqlStore:
    """The store in ``database``, until ``close``: items are charged by ``book`` when stored."""

    def __init__(
        self,
        database: Database,
        limits: WriterLimits | None = None,
        book: PriceBook = NO_PRICES,
    ) -> None:
        self._database = database
        self._dictionaries = Dictionaries()
        self._charging = Charging(book)
        self._writer = Writer(database, limits, self._dictionaries.forget)
        self._writer.start()
        self._readers = Readers(database)
        # Sums and searches may take long; a key is looked up for every request, and waits for none.
        self._queries = Readers(database)

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
        """Write what waits, and let go of the database. Blocks until then."""
        # The readers first: who closes last folds the WAL into the file and removes it.
        self._readers.stop()
        self._queries.stop()
        self._writer.stop()
        self._database.close()

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
        await self._write(
            lambda c: heartbeats.keep_heartbeat(c, self._dictionaries, agent_id, heartbeat, now)
        )

    async def heartbeats(self, agent_id: str) -> Sequence[StoredHeartbeat]:
        return await self._read(lambda c: heartbeats.heartbeats_of(c, agent_id))

    async def apply_frames(
        self, agent_id: str, frames: Sequence[DigestedFrame], now: int, weight: int
    ) -> Applied:
        return await self._write(
            lambda c: apply_frames(c, self._dictionaries, self._charging, agent_id, frames, now),
            weight,
        )

    async def durable(self, agent_id: str, instance_ids: Sequence[str]) -> dict[str, int]:
        return await self._read(lambda c: instances.durable_seqs(c, agent_id, instance_ids))

    @property
    def currency(self) -> str:
        """The currency of the present prices."""
        return self._charging.book.currency

    async def observe(
        self, observations: Sequence[Observation], draw: Callable[[], str], now: int
    ) -> None:
        await self._write(lambda c: observe(c, self._dictionaries, observations, draw, now))

    async def agent_usage(
        self, names: Collection[AgentName], today: Span, month: Span, now: int
    ) -> Mapping[AgentName, AgentUsage]:
        book = self._charging.book
        return await self._query(lambda c: agent_usage(c, names, today, month, book, now))

    async def settle_tails(self, until: int, limit: int, now: int) -> int:
        return await self._write(
            lambda c: settle_tails(c, self._dictionaries, self._charging, until, limit, now)
        )

    @property
    def book(self) -> PriceBook:
        """The present prices."""
        return self._charging.book

    async def verify(self, progress: Callable[[int], None] = lambda rows: None) -> Verified:
        """Read the whole journal again, in a thread of its own."""
        try:
            return await asyncio.to_thread(self._database.verify, progress)
        except self._database.errors as error:
            raise StoreUnavailableError(self._database.reason(error)) from error

    async def close_period(
        self, period: Period, now: int, rules: ClosingRules = WHEN_OVER
    ) -> ClosedPeriod:
        return await self._write(
            lambda c: periods.close_period(
                c, self._dictionaries, self._charging, period, now, rules
            )
        )

    async def reprice(
        self,
        asked: UsageFilter,
        now: int,
        *,
        after: Position | None = None,
        limit: int = 2000,
        dry: bool = False,
    ) -> Repriced:
        return await self._write(
            lambda c: repricing.reprice(
                *(c, self._dictionaries, self._charging, asked, now),
                after=after,
                limit=limit,
                dry=dry,
            )
        )

    async def plan_pruning(self, before: int) -> PruningPlan:
        return await self._query(lambda c: retention.plan_pruning(c, before))

    async def prune(self, plan: PruningPlan, seal: Seal | None, now: int, limit: int) -> int | None:
        return await self._write(lambda c: retention.prune(c, plan, seal, now, limit))

    async def closed_periods(self) -> Sequence[ClosedPeriod]:
        return await self._query(periods.closed_periods)

    async def statement(
        self, span: Span, now: int, namespace: str = "", agent_id: str = ""
    ) -> PeriodStatement:
        return await self._query(
            lambda c: periods.statement(c, span, self.book, now, namespace, agent_id)
        )

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

    async def remote_agents(self, namespace: str, since: int) -> Sequence[RemoteAgent]:
        return await self._query(lambda c: remote.remote_agents(c, namespace, since))

    async def remote_models(
        self, agent_ids: Collection[str]
    ) -> Mapping[str, Mapping[ModelKey, TokenCounts]]:
        return await self._query(lambda c: remote.remote_models(c, agent_ids))

    async def day_usage(
        self,
        asked: UsageFilter,
        use: Callable[[LedgerPosition, Iterator[Sequence[DayUsage]]], Result],
    ) -> Result:
        return await self._query(lambda c: use(focus.position(c), focus.day_usage(c, asked)))

    async def flush_events(self, frames: Sequence[EventFrame], now: int) -> FlushedEvents:
        return await self._write_or_refuse(
            lambda c: events.flush_events(c, self._dictionaries, self._charging, frames, now)
        )

    async def set_event_aside(self, event: UsageEvent, reason: str, now: int) -> None:
        await self._write_or_refuse(lambda c: events.set_event_aside(c, event, reason, now))

    async def event_batch(self, batch_id: str, agent_id: str = "") -> CheckedBatch | None:
        return await self._read(lambda c: event_batches.checked_batch(c, batch_id, agent_id))

    async def _write(self, work: Callable[[Connection], Result], weight: int = 1024) -> Result:
        return await asyncio.wrap_future(self._writer.submit(work, weight))

    async def _write_or_refuse(self, work: Callable[[Connection], Result]) -> Result:
        try:
            return await self._write(work)
        except (StoreBusyError, StoreUnavailableError):
            raise
        except Exception as error:
            # The boundary: whatever else a job raises, it will raise again for the same events.
            said = str(error) if isinstance(error, StoreError) else type(error).__name__
            raise StoreRefusedError(f"the events cannot be stored: {said}") from error

    async def _read(self, read: Callable[[Connection], Result]) -> Result:
        return await self._of(self._readers, read)

    async def _query(self, read: Callable[[Connection], Result]) -> Result:
        return await self._of(self._queries, read)

    async def _of(self, readers: Readers, read: Callable[[Connection], Result]) -> Result:
        try:
            return await asyncio.wrap_future(readers.submit(read))
        except self._database.errors as error:
            raise StoreUnavailableError(self._database.reason(error)) from error
