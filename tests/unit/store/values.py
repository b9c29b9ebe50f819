"""Agents and frames for the tests of the store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.frame import Frame, Item
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.values import Agent, Applied, DigestedFrame, NewKey, Registration
from agentspec_usage.wire.records_encoding import frame_digest

__all__ = [
    "INSTANCE",
    "NOW",
    "OTHER_INSTANCE",
    "apply",
    "frame",
    "record",
    "register",
    "registration",
    "rows",
]

NOW = 1_790_000_000_000
INSTANCE = "a" * 32
OTHER_INSTANCE = "b" * 32
GPT = SeriesKey("openai", "gpt")


def registration(name: str = "agent", namespace: str = "team", **changes: Any) -> Registration:
    key_id = changes.pop("key_id", f"{name}-{namespace}".encode().hex().zfill(32)[-32:])
    expires_at = changes.pop("expires_at", NOW + 1_000_000)
    values: dict[str, Any] = {
        "agent_id": f"agt_{key_id}",
        "namespace": namespace,
        "name": name,
        "runtime": "k8s",
        "key": NewKey(key_id, b"digest of " + key_id.encode(), expires_at),
        "old_key_until": NOW,
        **changes,
    }
    return Registration(**values)


async def register(store: IngestStore, name: str = "agent", namespace: str = "team") -> Agent:
    return await store.register(registration(name, namespace), NOW)


def record(seq: int, **changes: Any) -> UsageRecord:
    values: dict[str, Any] = {
        "seq": seq,
        "at": NOW,
        "key": GPT,
        "counts": TokenCounts(input=100 * seq, output=seq, calls=1),
        **changes,
    }
    return UsageRecord(**values)


def frame(since: int, last: int, *items: Item, **changes: Any) -> Frame:
    """The calls from ``since`` to ``last``; without ``items`` a record each, and their totals."""
    contents = items or tuple(record(seq) for seq in range(since + 1, last + 1))
    before = sum_counts(record(seq).counts for seq in range(1, since + 1))
    values: dict[str, Any] = {
        "instance_id": INSTANCE,
        "observer": Observer.SDK,
        "since": since,
        "last": last,
        "totals": before + sum_counts(item.counts for item in contents),
        "items": contents,
        **changes,
    }
    return Frame(**values)


async def apply(store: IngestStore, agent: Agent, *frames: Frame, now: int = NOW) -> Applied:
    digested = [DigestedFrame(one, frame_digest(one)) for one in frames]
    return await store.apply_frames(agent.agent_id, digested, now, 1024)


def rows(database: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What the query finds in what is committed."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query, values).fetchall()
