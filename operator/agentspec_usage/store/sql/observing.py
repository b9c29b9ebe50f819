"""Taking in what an operator read of pods: the totals of agents, whether they deliver or not.

The operator names an agent as the agent names itself when it registers, by namespace and name, so
that both are one agent here, whichever came first. One that was only observed has no key. A process
that is known there by another name is charged under one of them (``names``).

A snapshot that travels through a sidecar (``via``) is left out: the sidecar tells it. A source
without instance ids is told apart by its pod and by the life of its container, and stands as an
instance of which no frame can ever come: no sender's id looks like its.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from agentspec_usage.metering.believing import believed
from agentspec_usage.metering.level import level_of
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.metering.window_levels import WindowLevels
from agentspec_usage.store.queries import AgentName
from agentspec_usage.store.sql.agents import AGENT_ROW, IN_CLUSTER, AgentRow
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.dictionaries import Dictionaries
from agentspec_usage.store.sql.names import Seen, holders, note_names
from agentspec_usage.store.sql.tail import Told, report
from agentspec_usage.store.sql.windows import keep_windows, windows_of
from agentspec_usage.wire.observed_encoding import Observation

__all__ = ["observe", "observed_agents"]

_ADD = """
    INSERT INTO agents (agent_id, namespace, name, runtime, registered_at)
    VALUES (?, ?, ?, ?, ?) ON CONFLICT (name, namespace) DO NOTHING"""

_Reading = tuple[AgentRow, Observation, UsageSnapshot]


def observe(
    connection: Connection,
    dictionaries: Dictionaries,
    observations: Sequence[Observation],
    draw: Callable[[], str],
    now: int,
) -> None:
    """Inside the transaction that is open: keep what was read of each pod."""
    agents = _agents(connection, observations, draw, now)
    _charge_to(connection, observations, agents)
    readings = list(_readings(observations, agents))
    charged = holders(
        connection,
        {_seen(reading): reading[2].observer for reading in readings},
        now,
        by_operator=True,
    )
    note_names(connection, charged, now)
    sources = windows_of(
        connection,
        {
            charged[_seen(reading)].instance
            for reading in readings
            if reading[2].instance_id is None
        },
    )
    changed = {}
    told = []
    for reading in readings:
        _, observation, snapshot = reading
        holder = charged[_seen(reading)]
        instance = holder.instance
        level = level_of(snapshot)
        if snapshot.instance_id is None:
            known = sources.get(instance, WindowLevels())
            windows = known.advance(snapshot.window_started_at, level)
            if windows is known:
                continue
            sources[instance] = changed[instance] = windows
            level = windows.used()
        at = now if observation.seen_at is None else min(believed(observation.seen_at, now), now)
        told.append(Told(holder.agent, instance, level, at))
    keep_windows(connection, changed)
    report(connection, dictionaries, told)


def observed_agents(
    connection: Connection, names: Collection[AgentName]
) -> dict[AgentName, AgentRow]:
    """The agents of these names; those that are not known are left out."""
    if not names:
        return {}
    pairs = ", ".join("(?, ?)" for _ in names)
    rows = connection.execute(
        f"SELECT {AGENT_ROW} FROM agents WHERE (name, namespace) IN (VALUES {pairs})",
        [part for each in names for part in (each.name, each.namespace)],
    )
    found = (AgentRow(*row) for row in rows)
    return {AgentName(agent.namespace, agent.name): agent for agent in found}


def _agents(
    connection: Connection,
    observations: Sequence[Observation],
    draw: Callable[[], str],
    now: int,
) -> dict[AgentName, AgentRow]:
    """The agents that are observed; one that was never heard of is made, a question makes none."""
    names = {_name(one) for one in observations}
    known = observed_agents(connection, names)
    read = {_name(one) for one in observations if one.reading is not None}
    missing = sorted(read - known.keys())
    if not missing:
        return known
    connection.executemany(
        _ADD, [(f"agt_{draw()}", each.namespace, each.name, IN_CLUSTER, now) for each in missing]
    )
    return {**known, **observed_agents(connection, missing)}


def _charge_to(
    connection: Connection,
    observations: Sequence[Observation],
    agents: dict[AgentName, AgentRow],
) -> None:
    """The cost centre of what is stored from now on; what was charged stays where it is."""
    said = {_name(one): one.cost_center for one in observations}
    connection.executemany(
        "UPDATE agents SET cost_center = ? WHERE agent = ?",
        [
            (cost_center, agents[name].number)
            for name, cost_center in sorted(said.items())
            if name in agents and agents[name].cost_center != cost_center
        ],
    )


def _readings(
    observations: Sequence[Observation], agents: dict[AgentName, AgentRow]
) -> Iterator[_Reading]:
    for one in observations:
        for snapshot in one.reading.snapshots if one.reading is not None else ():
            if snapshot.via is None and snapshot.totals:
                yield agents[_name(one)], one, snapshot


def _seen(reading: _Reading) -> Seen:
    agent, observation, snapshot = reading
    if snapshot.instance_id is not None:
        return Seen(agent, snapshot.instance_id)
    return Seen(agent, f"{Observer.LEGACY}:{observation.pod_uid}/{observation.container}")


def _name(observation: Observation) -> AgentName:
    return AgentName(observation.namespace, observation.name)
