"""The newest heartbeat of each instance, and what its usage reports.

A heartbeat releases nothing at its sender; it tells liveness, and totals that no frame may have
brought yet. A snapshot that travels through a sidecar (``via``) reports nothing here: the sidecar
does, and the two must not be added.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from agentspec_usage.store.sqlite.agents import agent_number
from agentspec_usage.store.sqlite.instances import instance_row, raise_reported
from agentspec_usage.store.values import StoredHeartbeat, instance_of
from agentspec_usage.wire.heartbeat import Heartbeat
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = ["MAX_HEARTBEATS", "heartbeats_of", "keep_heartbeat"]

MAX_HEARTBEATS = 64
"""Instances of an agent whose newest heartbeat is kept; the longest silent ones leave."""


def keep_heartbeat(
    connection: sqlite3.Connection, agent_id: str, heartbeat: Heartbeat, now: int
) -> None:
    """Inside the transaction that is open: keep ``heartbeat`` as its instance's newest."""
    agent = agent_number(connection, agent_id)
    snapshots = heartbeat.usage.snapshots if heartbeat.usage else ()
    usage = encode_usage(snapshots).decode("ascii") if snapshots else None
    connection.execute(
        "INSERT OR REPLACE INTO heartbeats "
        "(agent, instance_id, received_at, phase, score, health, gap, proof, usage) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(agent, instance_of(heartbeat), now, str(heartbeat.phase), heartbeat.score),
            *(_json(heartbeat.health), _json(heartbeat.gap)),
            *(None if heartbeat.proof is None else _json(heartbeat.proof), usage),
        ),
    )
    connection.execute(
        "DELETE FROM heartbeats WHERE agent = ?1 AND instance_id NOT IN (SELECT instance_id "
        "FROM heartbeats WHERE agent = ?1 ORDER BY received_at DESC, instance_id LIMIT ?2)",
        (agent, MAX_HEARTBEATS),
    )
    for snapshot in snapshots:
        if snapshot.instance_id is not None and snapshot.via is None:
            instance = instance_row(connection, agent, snapshot.instance_id, snapshot.observer, now)
            raise_reported(connection, instance.number, snapshot.totals)


def heartbeats_of(connection: sqlite3.Connection, agent_id: str) -> tuple[StoredHeartbeat, ...]:
    """The newest heartbeat of each instance, the newest first."""
    rows = connection.execute(
        "SELECT instance_id, received_at, health, gap, proof, usage FROM heartbeats "
        "JOIN agents USING (agent) WHERE agent_id = ? ORDER BY received_at DESC, instance_id",
        (agent_id,),
    )
    return tuple(StoredHeartbeat(*row) for row in rows)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
