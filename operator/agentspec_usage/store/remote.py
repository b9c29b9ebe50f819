"""What is known of agents that nobody else looks after: those that push what they use.

Their objects in the cluster are written from this. An agent is *heard* while one of its instances
sends heartbeats in time; an instance that fell silent without saying that it ends was *lost*, or
cannot reach us.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.models import ModelKey
from agentspec_usage.wire.heartbeat import HealthPhase

__all__ = ["RemoteAgent", "RemoteAgents"]


@dataclass(frozen=True, slots=True)
class RemoteAgent:
    """An agent and its instances. Times are milliseconds.

    ``phase``, ``score`` and ``violations`` are of the newest heartbeat, which came at
    ``last_seen``: that moves while nothing else does, so it takes no part in comparing. ``totals``
    is what its instances told, delivered or not, since ``began_at``, None where nothing was.
    """

    agent_id: str
    namespace: str
    name: str
    last_seen: int = field(compare=False)
    phase: HealthPhase
    score: int | None = None
    violations: int = 0
    heard: int = 0
    silent: int = 0
    ended: int = 0
    totals: TokenCounts = ZERO
    began_at: int | None = None
    rolled_back: bool = False
    legacy: bool = False
    cost_center: str = ""


class RemoteAgents(Protocol):
    """Reads; each sees one moment of the store."""

    async def remote_agents(self, namespace: str, since: int) -> Sequence[RemoteAgent]:
        """The agents of the namespace that ever sent a heartbeat; heard are those ``since``."""
        ...

    async def remote_models(
        self, agent_ids: Collection[str]
    ) -> Mapping[str, Mapping[ModelKey, TokenCounts]]:
        """What each agent's models used, as far as it is known by model."""
        ...
