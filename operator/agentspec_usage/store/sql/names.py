"""One process under several names: which agent is charged what is seen of it.

A process may push its calls as one agent while its pod is observed as another, or go on while the
object that names it is renamed. What it used is charged once all the same. Of the instances that
stand for it, one *holds* what is only seen (``instances.holds_seen``): an observation, or a
heartbeat, under another name raises that one, and makes no second one. So of a process that nobody
delivers, the agent under which it was known first is charged, as long as it lives.

Frames are a stronger claim. The agent whose credential brings the first of them takes over what is
seen, with its tail and the estimates that stand (``tail.Deliveries``), because what it delivers is
what those stand for. Frames themselves are never refused, cut or moved for the sake of another
agent: an instance id is public, so whoever sends frames under one that is not its own is charged
for them beside the other, and whoever is robbed of its id loses no call.

One process is the same instance id in one namespace, the tenant; ids of another namespace are
another's, whatever they say. An agent outside of the cluster is a tenant of its own: those share a
namespace without anybody having asserted that they belong together. So no credential but its own
changes what it is charged; what the operator reads of the namespace's pods does.

The agent that was named all the same is told as whom it is charged (``agents.charged_as``): the
answer to its operator would say otherwise that tokens which it shows cost nothing. That is said
until an hour after the last reading of such a process: of two pods, one may be charged here and one
there, and what is shown must not change with each reading.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.store.sql.agents import IN_CLUSTER, AgentRow
from agentspec_usage.store.sql.connection import Connection
from agentspec_usage.store.sql.instances import InstanceRow, instance_row
from agentspec_usage.store.sql.levels import one_of

__all__ = ["Holder", "Seen", "charged_as", "hand_over", "holders", "note_names", "rivals"]

_KNOWN = """
    SELECT instance_id, agents.namespace, agents.runtime, instances.agent, instances.instance,
    holds_seen FROM instances JOIN agents ON agents.agent = instances.agent
    WHERE instance_id """

_RIVALS = """
    SELECT instances.instance, instances.hash
    FROM instances JOIN agents ON agents.agent = instances.agent
    WHERE instance_id = ? AND namespace = ? AND runtime = ? AND instances.agent <> ?
    AND holds_seen = 1 ORDER BY instances.instance"""

_NAMED = """
    SELECT named.agent, other.name FROM agents AS named
    JOIN agents AS other ON other.agent = named.charged_as WHERE named.agent """

_NAME = "UPDATE agents SET charged_as = ?, charged_as_at = ? WHERE agent = ?"

_FORGET_MS = 60 * 60 * 1000
_FRESH_MS = 10 * 60 * 1000
"""How old ``charged_as_at`` may be: pods are read every few minutes, and few of those write."""

_HOLD = "UPDATE instances SET holds_seen = ? WHERE instance = ?"


@dataclass(frozen=True, slots=True)
class Seen:
    """An instance id that was seen, and as which agent's."""

    agent: AgentRow
    instance_id: str


@dataclass(frozen=True, slots=True)
class Holder:
    """The instance, by its number, to which what is seen belongs, and the agent that is charged."""

    agent: int
    instance: int


@dataclass(frozen=True, slots=True)
class _Known:
    namespace: str
    runtime: str
    holder: Holder
    holds: bool


def holders(
    connection: Connection, seen: Mapping[Seen, Observer], now: int, *, by_operator: bool
) -> dict[Seen, Holder]:
    """Who is charged what was seen, with one statement for all that is known; one that is not is
    made, of the observer that is given. ``by_operator``: no agent's credential said so."""
    if not seen:
        return {}
    known = _known(connection, {one.instance_id for one in seen})
    found = {}
    for one in sorted(seen, key=lambda each: (each.agent.number, each.instance_id)):
        same = known.setdefault(one.instance_id, [])
        mine = [each for each in same if each.holder.agent == one.agent.number]
        own = [each.holder for each in mine if each.holds]
        others = [
            each.holder for each in same if each.holds and _is_of_tenant(each, one, by_operator)
        ]
        if not own and not others:
            if mine:
                # Taken over by an agent outside of the cluster, for which this one cannot speak.
                own = [mine[0].holder]
                hand_over(connection, own[0].instance, ())
            else:
                own = [_made(connection, one, seen[one], now)]
            same.append(_Known(one.agent.namespace, one.agent.runtime, own[0], holds=True))
        found[one] = (own or others)[0]
    return found


def rivals(connection: Connection, agent: AgentRow, instance_id: str) -> list[InstanceRow]:
    """The other agents' instances that hold what was seen of the process until now."""
    rows = connection.execute(_RIVALS, (instance_id, agent.namespace, IN_CLUSTER, agent.number))
    return [InstanceRow(*row) for row in rows]


def hand_over(connection: Connection, to: int, losers: Collection[int]) -> None:
    """What is seen of the process is charged to the instance ``to`` from now on."""
    connection.executemany(_HOLD, [*((0, loser) for loser in sorted(losers)), (1, to)])


def note_names(connection: Connection, found: Mapping[Seen, Holder], now: int) -> None:
    """Remember which of the agents whose pods were read are charged as others."""
    elsewhere = {seen.agent.number: 0 for seen in found}
    for seen, holder in found.items():
        if holder.agent != seen.agent.number:
            elsewhere[seen.agent.number] = holder.agent
    rows = connection.execute(
        f"SELECT agent, charged_as, charged_as_at FROM agents WHERE agent {one_of(elsewhere)}",
        (*elsewhere,),
    )
    known = {agent: (other, at) for agent, other, at in rows}
    changed: list[tuple[int | None, int | None, int]] = []
    for agent, other in sorted(elsewhere.items()):
        before, at = known[agent]
        if other and (other != before or now - at > _FRESH_MS):
            changed.append((other, now, agent))
        elif not other and before is not None and now - at > _FORGET_MS:
            changed.append((None, None, agent))
    connection.executemany(_NAME, changed)


def charged_as(connection: Connection, agents: Collection[int]) -> dict[int, str]:
    """The names of the agents that are charged what was read as ``agents``, where it is others."""
    return dict(connection.execute(f"{_NAMED}{one_of(agents)}", (*agents,)).fetchall())


def _known(connection: Connection, instance_ids: Collection[str]) -> dict[str, list[_Known]]:
    """What stands for each id, in every namespace, in the order in which it became known."""
    found: dict[str, list[_Known]] = {}
    rows = connection.execute(
        f"{_KNOWN}{one_of(instance_ids)} ORDER BY instances.instance", (*instance_ids,)
    )
    for instance_id, namespace, runtime, agent, instance, holds in rows:
        same = found.setdefault(instance_id, [])
        same.append(_Known(namespace, runtime, Holder(agent, instance), bool(holds)))
    return found


def _is_of_tenant(known: _Known, one: Seen, by_operator: bool) -> bool:
    return known.namespace == one.agent.namespace and (by_operator or known.runtime == IN_CLUSTER)


def _made(connection: Connection, one: Seen, observer: Observer, now: int) -> Holder:
    agent = one.agent.number
    return Holder(agent, instance_row(connection, agent, one.instance_id, observer, now).number)
