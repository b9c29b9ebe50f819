"""The application with a clock moved by hand, and an agent that was registered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from agentspec_usage.controlplane.app import build_app
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.runtime.ids import draw_128_bits
from agentspec_usage.store.sqlite.store import SqliteStore
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from tests.fakes.hand_clock import HandClock
from tests.unit.store.values import GPT, INSTANCE

__all__ = ["ADMIN", "Plane", "beat", "running_plane"]

ADMIN_KEY = "an admin key of the tests"
ADMIN = {"X-Admin-Key": ADMIN_KEY}


@dataclass
class Plane:
    """What a test speaks to, and what it looks into."""

    http: httpx.AsyncClient
    clock: HandClock
    store: SqliteStore
    metrics: Metrics

    async def register(self, name: str = "agent", **fields: Any) -> dict[str, Any]:
        body = {"agentName": name, "runtime": "local", **fields}
        answer = await self.http.post("/register", json=body, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def bearer(self, name: str = "agent", **fields: Any) -> dict[str, str]:
        """The header that shows a new agent's key."""
        return {"Authorization": f"Bearer {(await self.register(name, **fields))['apiKey']}"}

    def counted(self, metric: str, labels: Mapping[str, str] | None = None) -> float:
        return self.metrics.registry.get_sample_value(metric, dict(labels or {})) or 0.0


@asynccontextmanager
async def running_plane(
    database: Path, settings: ControlPlaneSettings, admin_key: str = ADMIN_KEY
) -> AsyncIterator[Plane]:
    clock = HandClock()
    metrics = Metrics(CollectorRegistry())
    store = SqliteStore(database)
    app = build_app(store, clock, draw_128_bits, admin_key, metrics, settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://plane/api/v1", timeout=20
        ) as http:
            yield Plane(http, clock, store, metrics)
    finally:
        store.close()


def beat(instance_id: str | None = INSTANCE, tokens: int = 10, **changes: Any) -> bytes:
    """A heartbeat of a healthy agent whose instance used ``tokens`` in one call."""
    counts = TokenCounts(input=tokens, calls=1)
    rows = (SeriesRow(GPT, counts),)
    snapshot = UsageSnapshot(
        counts, rows, instance_id=instance_id, observer=Observer.SDK, **changes
    )
    return encode_heartbeat({"status": "healthy"}, {"score": 91, "issues": []}, [snapshot])
