"""Agents and frames for the tests of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from agentspec_usage.metering.counts import TokenCounts, sum_counts
from agentspec_usage.metering.frame import Frame, Item
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.opening import is_url, reading
from agentspec_usage.store.postgresql.address import read_address
from agentspec_usage.store.postgresql.connection import PostgresConnection
from agentspec_usage.store.postgresql.sessions import MIGRATION, connect
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sqlite.connection import SqliteConnection
from agentspec_usage.store.values import Agent, Applied, DigestedFrame, NewKey, Registration
from agentspec_usage.wire.records_encoding import frame_digest

__all__ = [
    "INSTANCE",
    "NOW",
    "OTHER_INSTANCE",
    "apply",
    "edited",
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


def rows(database: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """What the query finds in what is committed."""
    with reading(database) as connection:
        return connection.execute(query, values).fetchall()


@contextmanager
def edited(database: str) -> Iterator[Connection]:
    """Changes that nobody should make, with no rule in their way, committed at the end."""
    if not is_url(database):
        with closing(
            sqlite3.connect(database, isolation_level=None, factory=SqliteConnection)
        ) as file:
            file.execute("PRAGMA foreign_keys = OFF")
            file.execute("BEGIN")
            yield file
            file.execute("COMMIT")
        return
    address = read_address(database)
    with closing(PostgresConnection(lambda: connect(address, MIGRATION))) as server:
        server.begin("READ WRITE")
        server.execute("SET LOCAL session_replication_role = replica")
        yield server
        server.execute("COMMIT")
