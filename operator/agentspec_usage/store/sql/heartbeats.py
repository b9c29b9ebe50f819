"""The newest heartbeat of each instance, and what its usage reports.

A heartbeat releases nothing at its sender; it tells liveness, and totals that no frame may have
brought yet. A snapshot that travels through a sidecar (``via``) reports nothing here: the sidecar
does, and the two must not be added.

A sender of AgentSpec's own dialect has no instances. Its windows add up to what is told of one that
stands for all of them (``metering.window_levels``); but not where the agent runs in the cluster,
since the operator reads the same windows there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentspec_usage.metering.level import level_of
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.metering.window_levels import WindowLevels
from agentspec_usage.store.sql.agents import IN_CLUSTER, agent_row
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.instances import instance_row
from agentspec_usage.store.sql.names import Seen, holders
from agentspec_usage.store.sql.tail import Told, report
from agentspec_usage.store.sql.windows import keep_windows, windows_of
from agentspec_usage.store.values import StoredHeartbeat, instance_of, is_final
from agentspec_usage.wire.heartbeat import Heartbeat
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = ["MAX_HEARTBEATS", "heartbeats_of", "keep_heartbeat"]

MAX_HEARTBEATS = 64
"""Instances of an agent whose newest heartbeat is kept; the longest silent ones leave."""

_PUSHED = "heartbeats"
"""The instance that stands for pushed windows: no sender's id looks like this."""


def keep_heartbeat(
    connection: Connection,
    dictionaries: Dictionaries,
    agent_id: str,
    heartbeat: Heartbeat,
    now: int,
) -> None:
    """Inside the transaction that is open: keep ``heartbeat`` as its instance's newest."""
    of_agent = agent_row(connection, agent_id)
    agent = of_agent.number
    snapshots = heartbeat.usage.snapshots if heartbeat.usage else ()
    usage = encode_usage(snapshots).decode("ascii") if snapshots else None
    connection.execute(
        "INSERT INTO heartbeats "
        "(agent, instance_id, received_at, phase, score, violations, final, health, gap, proof, "
        "usage) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (agent, instance_id) DO UPDATE SET "
        "received_at = excluded.received_at, phase = excluded.phase, score = excluded.score, "
        "violations = excluded.violations, final = excluded.final, health = excluded.health, "
        "gap = excluded.gap, proof = excluded.proof, usage = excluded.usage",
        (
            *(agent, instance_of(heartbeat), now, str(heartbeat.phase), heartbeat.score),
            *(heartbeat.violations, int(is_final(heartbeat))),
            *(_json(heartbeat.health), _json(heartbeat.gap)),
            *(None if heartbeat.proof is None else _json(heartbeat.proof), usage),
        ),
    )
    connection.execute(
        "DELETE FROM heartbeats WHERE agent = ? AND instance_id NOT IN (SELECT instance_id "
        "FROM heartbeats WHERE agent = ? ORDER BY received_at DESC, instance_id LIMIT ?)",
        (agent, agent, MAX_HEARTBEATS),
    )
    own = [snapshot for snapshot in snapshots if snapshot.via is None]
    seen = {
        Seen(of_agent, one.instance_id): one.observer for one in own if one.instance_id is not None
    }
    charged = holders(connection, seen, now, by_operator=False)
    told = []
    for snapshot in own:
        if snapshot.instance_id is not None:
            holder = charged[Seen(of_agent, snapshot.instance_id)]
            told.append(Told(holder.agent, holder.instance, level_of(snapshot), now))
        elif snapshot.totals and of_agent.runtime != IN_CLUSTER:
            told.append(_window(connection, agent, snapshot, now))
    report(connection, dictionaries, told)


def heartbeats_of(connection: Connection, agent_id: str) -> tuple[StoredHeartbeat, ...]:
    """The newest heartbeat of each instance, the newest first."""
    rows = connection.execute(
        "SELECT instance_id, received_at, health, gap, proof, usage FROM heartbeats "
        "JOIN agents USING (agent) WHERE agent_id = ? ORDER BY received_at DESC, instance_id",
        (agent_id,),
    )
    return tuple(StoredHeartbeat(*row) for row in rows)


def _window(connection: Connection, agent: int, snapshot: UsageSnapshot, now: int) -> Told:
    """All windows that the agent pushed, with the one of ``snapshot``."""
    instance = instance_row(connection, agent, _PUSHED, snapshot.observer, now).number
    known = windows_of(connection, [instance]).get(instance, WindowLevels())
    windows = known.advance(snapshot.window_started_at, level_of(snapshot))
    if windows is not known:
        keep_windows(connection, {instance: windows})
    return Told(agent, instance, windows.used(), now)


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
