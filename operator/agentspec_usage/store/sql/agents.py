"""Agents and their keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentspec_usage.store.errors import StoreError
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.values import Agent, AgentSummary, Registration, StoredKey
from agentspec_usage.wire.heartbeat import HealthPhase

__all__ = [
    "AGENT_ROW",
    "IN_CLUSTER",
    "AgentRow",
    "agent_number",
    "agent_row",
    "agents_named",
    "find_key",
    "register_agent",
    "revoke_agent",
    "summaries",
]

IN_CLUSTER = "k8s"
"""The runtime of an agent whose namespace is one of the cluster's: there the operator sees it."""

AGENT_ROW = "agent, agent_id, namespace, name, cost_center, runtime"
"""The columns of an ``AgentRow``."""

_AGENT = "agent_id, namespace, name, runtime, registered_at, revoked_at"


@dataclass(frozen=True, slots=True)
class AgentRow:
    """An agent as other tables refer to it, and by what it is known outside."""

    number: int
    agent_id: str
    namespace: str
    name: str
    cost_center: str = ""
    runtime: str = ""


def agent_row(connection: Connection, agent_id: str) -> AgentRow:
    """The agent. Raises ``StoreError`` for one that is none."""
    row = connection.execute(
        f"SELECT {AGENT_ROW} FROM agents WHERE agent_id = ?",
        (agent_id,),
    ).fetchone()
    if row is None:
        raise StoreError(f"agent {agent_id}: expected one that is registered")
    return AgentRow(*row)


def agent_number(connection: Connection, agent_id: str) -> int:
    """The number that other tables refer to. Raises ``StoreError`` for an agent that is none."""
    return agent_row(connection, agent_id).number


def register_agent(connection: Connection, new: Registration, now: int) -> Agent:
    """The agent, with the new key; see ``Registration`` for the earlier ones."""
    connection.execute(
        "INSERT INTO agents (agent_id, namespace, name, runtime, manifest, registered_at) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name, namespace) DO UPDATE SET "
        "runtime = excluded.runtime, manifest = coalesce(excluded.manifest, agents.manifest), "
        "revoked_at = NULL",
        (new.agent_id, new.namespace, new.name, new.runtime, new.manifest, now),
    )
    number, *columns = connection.execute(
        f"SELECT agent, {_AGENT} FROM agents WHERE name = ? AND namespace = ?",
        (new.name, new.namespace),
    ).fetchone()
    _end_earlier_keys(connection, number, new.old_key_until, now)
    connection.execute(
        "INSERT INTO api_keys (key_id, agent, digest, created_at, expires_at) "
        "VALUES (?, ?, ?, ?, ?)",
        (new.key.key_id, number, new.key.digest, now, new.key.expires_at),
    )
    return Agent(*columns)


def revoke_agent(connection: Connection, agent_id: str, now: int) -> None:
    """End every key. What the agent reported stays."""
    number = agent_number(connection, agent_id)
    connection.execute("DELETE FROM api_keys WHERE agent = ?", (number,))
    connection.execute("UPDATE agents SET revoked_at = ? WHERE agent = ?", (now, number))


def find_key(connection: Connection, key_id: str, now: int) -> StoredKey | None:
    """The key, if it is neither revoked nor expired."""
    row = connection.execute(
        f"SELECT digest, expires_at, {_AGENT} FROM api_keys JOIN agents USING (agent) "
        "WHERE key_id = ? AND expires_at > ?",
        (key_id, now),
    ).fetchone()
    if row is None:
        return None
    digest, expires_at, *columns = row
    return StoredKey(key_id, digest, expires_at, Agent(*columns))


def agents_named(connection: Connection, name: str) -> tuple[Agent, ...]:
    rows = connection.execute(
        f"SELECT {_AGENT} FROM agents WHERE name = ? ORDER BY namespace", (name,)
    )
    return tuple(Agent(*row) for row in rows)


def summaries(connection: Connection) -> tuple[AgentSummary, ...]:
    """Every agent with its newest heartbeat, in the order of registration."""
    # The newest row of each agent; of several of one moment, one.
    rows = connection.execute(
        f"SELECT {_AGENT}, phase, score, received_at FROM agents LEFT JOIN ("
        "SELECT agent, phase, score, received_at, row_number() OVER ("
        "PARTITION BY agent ORDER BY received_at DESC, instance_id) AS place FROM heartbeats"
        ") AS newest ON newest.agent = agents.agent AND newest.place = 1 ORDER BY agents.agent"
    )
    return tuple(_summary(row) for row in rows)


def _summary(row: tuple[Any, ...]) -> AgentSummary:
    *columns, phase, score, last_seen = row
    return AgentSummary(
        Agent(*columns),
        HealthPhase.UNKNOWN if phase is None else HealthPhase(phase),
        score,
        last_seen,
    )


def _end_earlier_keys(connection: Connection, agent: int, until: int, now: int) -> None:
    """The newest key stays good until ``until`` at the latest, the others end now."""
    connection.execute(
        "DELETE FROM api_keys WHERE agent = ? AND key_id NOT IN (SELECT key_id FROM api_keys "
        "WHERE agent = ? ORDER BY created_at DESC, expires_at DESC LIMIT ?)",
        (agent, agent, int(until > now)),
    )
    connection.execute(
        "UPDATE api_keys SET expires_at = ? WHERE agent = ? AND expires_at > ?",
        (until, agent, until),
    )
