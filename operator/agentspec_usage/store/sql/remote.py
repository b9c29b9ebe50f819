"""What is known of agents that push, in a few statements for all of them.

The totals are those that were *reported*: what an agent showed itself, whatever of it was delivered
and charged yet. So they never fall, and are never more than was used. Cells are what is charged of
each series, and beyond it what the furthest level that was seen has more (``levels``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from agentspec_usage.metering.counts import COMPONENTS, ZERO, TokenCounts
from agentspec_usage.metering.models import ModelKey
from agentspec_usage.store.remote import RemoteAgent
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dialect import Dialect
from agentspec_usage.store.sql.levels import REPORTED, TOTALS, one_of
from agentspec_usage.wire.heartbeat import HealthPhase

__all__ = ["remote_agents", "remote_models"]

_OF_NAMESPACE = "SELECT agent FROM agents WHERE namespace = ?"

_NEWEST = """
    SELECT agent, agent_id, namespace, name, cost_center, phase, score, violations, received_at
    FROM (
        SELECT agents.agent, agent_id, namespace, name, cost_center, phase, score, violations,
            received_at, row_number() OVER (
                PARTITION BY agents.agent ORDER BY received_at DESC, instance_id) AS place
        FROM heartbeats JOIN agents ON agents.agent = heartbeats.agent WHERE namespace = ?
    ) AS placed WHERE place = 1 ORDER BY agent"""

_LIVES = """
    SELECT agent, sum(CASE WHEN ended = 1 THEN 0 WHEN received_at >= ? THEN 1 ELSE 0 END),
        sum(CASE WHEN ended = 1 THEN 0 WHEN received_at >= ? THEN 0 ELSE 1 END), sum(ended)
    FROM (
        SELECT heartbeats.agent, received_at,
            CASE WHEN heartbeats.final = 1 OR coalesce(instances.final, 0) = 1
                THEN 1 ELSE 0 END AS ended
        FROM heartbeats JOIN agents ON agents.agent = heartbeats.agent
        LEFT JOIN instances ON instances.agent = heartbeats.agent
            AND instances.instance_id = heartbeats.instance_id
        WHERE namespace = ?
    ) AS lives GROUP BY agent"""

_INSTANCES = f"""
    SELECT agent, min(first_seen_at), max(rolled_back_at),
        max(CASE WHEN source_windows.instance IS NULL THEN 0 ELSE 1 END)
    FROM instances LEFT JOIN source_windows ON source_windows.instance = instances.instance
    WHERE agent IN ({_OF_NAMESPACE}) GROUP BY agent"""


def remote_agents(connection: Connection, namespace: str, since: int) -> list[RemoteAgent]:
    """The agents of the namespace that ever sent a heartbeat, in the order of registration."""
    lives = _by_agent(connection.execute(_LIVES, (since, since, namespace)))
    instances = _by_agent(connection.execute(_INSTANCES, (namespace,)))
    totals = _by_agent(connection.execute(_totals(connection.dialect), (REPORTED, namespace)))
    found = []
    for agent, *columns in connection.execute(_NEWEST, (namespace,)):
        agent_id, in_namespace, name, cost_center, phase, score, violations, seen = columns
        heard, silent, ended = lives[agent]
        began_at, rolled_back_at, legacy = instances.get(agent, (None, None, 0))
        found.append(
            RemoteAgent(
                agent_id,
                in_namespace,
                name,
                seen,
                HealthPhase(phase),
                score,
                violations,
                heard,
                silent,
                ended,
                TokenCounts(*totals[agent]) if agent in totals else ZERO,
                began_at,
                rolled_back_at is not None,
                bool(legacy),
                cost_center,
            )
        )
    return found


def remote_models(
    connection: Connection, agent_ids: Collection[str]
) -> dict[str, dict[ModelKey, TokenCounts]]:
    """What each agent's models used; an agent of which nothing is known by model has none."""
    found: dict[str, dict[ModelKey, TokenCounts]] = {agent_id: {} for agent_id in agent_ids}
    if not agent_ids:
        return found
    for statement, values in (
        (_charged(connection.dialect, len(agent_ids)), (*agent_ids,)),
        (_beyond(connection.dialect, len(agent_ids)), (*agent_ids, TOTALS)),
    ):
        for agent_id, provider, model, *counts in connection.execute(statement, values):
            cells = found[agent_id]
            key = ModelKey(provider, model)
            cells[key] = cells.get(key, ZERO) + TokenCounts(*counts)
    return found


def _totals(dialect: Dialect) -> str:
    sums = ", ".join(dialect.summed_count(f"told.{name}") for name in COMPONENTS)
    return (
        f"SELECT instances.agent, {sums} FROM instance_totals AS told "
        "JOIN instances ON instances.instance = told.instance "
        f"WHERE told.path = ? AND instances.agent IN ({_OF_NAMESPACE}) GROUP BY instances.agent"
    )


def _charged(dialect: Dialect, agents: int) -> str:
    sums = ", ".join(dialect.summed_count(f"cells.{name}") for name in COMPONENTS)
    return (
        f"SELECT agents.agent_id, series.provider, series.model, {sums} "
        "FROM instance_cells AS cells JOIN instances ON instances.instance = cells.instance "
        "JOIN agents ON agents.agent = instances.agent "
        f"JOIN series ON series.series = cells.series WHERE agents.agent_id {_marks(agents)} "
        "GROUP BY agents.agent_id, series.provider, series.model"
    )


def _beyond(dialect: Dialect, agents: int) -> str:
    """What the furthest levels that were seen have more than is charged."""
    sums = ", ".join(
        dialect.summed_count(dialect.greatest(f"tails.{name} - coalesce(cells.{name}, 0)", "0"))
        for name in COMPONENTS
    )
    return (
        f"SELECT agents.agent_id, series.provider, series.model, {sums} "
        "FROM tails JOIN agents ON agents.agent = tails.agent "
        "JOIN series ON series.series = tails.series LEFT JOIN instance_cells AS cells "
        "ON cells.instance = tails.instance AND cells.series = tails.series "
        f"WHERE agents.agent_id {_marks(agents)} AND tails.series <> ? "
        "GROUP BY agents.agent_id, series.provider, series.model"
    )


def _marks(number: int) -> str:
    return one_of(range(number))


def _by_agent(rows: Iterable[Any]) -> dict[int, Sequence[Any]]:
    return {agent: columns for agent, *columns in rows}
