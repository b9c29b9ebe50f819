"""The application with a clock moved by hand, and an agent that was registered."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from agentspec_usage.controlplane.app import build_app
from agentspec_usage.controlplane.event_flushing import EventFlushing
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.operator_gate import OperatorGate
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.event_buffer import EventBuffer
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.runtime.ids import draw_128_bits, new_instance_id
from agentspec_usage.store.sql.charging import NO_PRICES
from agentspec_usage.store.sqlite.store import SqliteStore
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from tests.fakes.hand_clock import HandClock
from tests.unit.store.values import GPT, INSTANCE, rows

__all__ = ["ADMIN", "OPERATOR", "Plane", "beat", "running_plane"]

ADMIN_KEY = "an admin key of the tests"
ADMIN = {"X-Admin-Key": ADMIN_KEY}
OPERATOR_KEY = "an operator key of the tests"
OPERATOR = {"Authorization": f"Bearer {OPERATOR_KEY}"}


@dataclass
class Plane:
    """What a test speaks to, and what it looks into."""

    http: httpx.AsyncClient
    clock: HandClock
    store: SqliteStore
    metrics: Metrics
    events: EventFlushing
    database: Path

    async def register(self, name: str = "agent", **fields: Any) -> dict[str, Any]:
        body = {"agentName": name, "runtime": "local", **fields}
        answer = await self.http.post("/register", json=body, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def bearer(self, name: str = "agent", **fields: Any) -> dict[str, str]:
        """The header that shows a new agent's key."""
        return {"Authorization": f"Bearer {(await self.register(name, **fields))['apiKey']}"}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the query finds in what is committed."""
        return rows(str(self.database), query)

    def change(self, statement: str) -> None:
        """Behind the program's back."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute(statement)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing can be written until the end of the block."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def counted(self, metric: str, labels: Mapping[str, str] | None = None) -> float:
        return self.metrics.registry.get_sample_value(metric, dict(labels or {})) or 0.0


@asynccontextmanager
async def running_plane(
    database: Path,
    settings: ControlPlaneSettings,
    admin_key: str = ADMIN_KEY,
    book: PriceBook = NO_PRICES,
) -> AsyncIterator[Plane]:
    clock = HandClock()
    metrics = Metrics(CollectorRegistry())
    store = SqliteStore(database, book=book)
    events = EventFlushing(EventBuffer(new_instance_id), store, clock)
    events.start()
    operators = OperatorGate(clock, OPERATOR_KEY)
    app = build_app(store, clock, draw_128_bits, admin_key, metrics, settings, events, operators)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://plane/api/v1", timeout=20
        ) as http:
            yield Plane(http, clock, store, metrics, events, database)
    finally:
        await events.stop(grace=20)
        store.close()


def beat(instance_id: str | None = INSTANCE, tokens: int = 10, **changes: Any) -> bytes:
    """A heartbeat of a healthy agent whose instance used ``tokens`` in one call."""
    counts = TokenCounts(input=tokens, calls=1)
    rows = (SeriesRow(GPT, counts),)
    snapshot = UsageSnapshot(
        counts, rows, instance_id=instance_id, observer=Observer.SDK, **changes
    )
    return encode_heartbeat({"status": "healthy"}, {"score": 91, "issues": []}, [snapshot])
