"""What the control plane needs of a store to take usage in.

A method that writes returns after its commit: what it answers is durable. ``StoreBusyError`` is
raised before anything is taken, ``StoreUnavailableError`` when nothing of it was kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agentspec_usage.store.values import (
    Agent,
    AgentSummary,
    Applied,
    DigestedFrame,
    Registration,
    StoredHeartbeat,
    StoredKey,
)
from agentspec_usage.wire.heartbeat import Heartbeat

__all__ = ["IngestStore"]


class IngestStore(Protocol):
    """Agents, their keys, their latest heartbeats, and the frames of their calls."""

    async def register(self, registration: Registration, now: int) -> Agent:
        """Register the agent, or give the one of that name a new key."""
        ...

    async def revoke(self, agent_id: str, now: int) -> None:
        """End every key of the agent. What it reported stays."""
        ...

    async def key(self, key_id: str, now: int) -> StoredKey | None:
        """The key, if it is neither revoked nor expired."""
        ...

    async def agents(self) -> Sequence[AgentSummary]:
        """Every agent, in the order of registration."""
        ...

    async def agents_named(self, name: str) -> Sequence[Agent]:
        """The agents of that name, one a namespace."""
        ...

    async def record_heartbeat(self, agent_id: str, heartbeat: Heartbeat, now: int) -> None:
        """Keep the heartbeat as the newest of its instance, and what its usage reports."""
        ...

    async def heartbeats(self, agent_id: str) -> Sequence[StoredHeartbeat]:
        """The newest heartbeat of each instance, the newest first."""
        ...

    async def apply_frames(
        self, agent_id: str, frames: Sequence[DigestedFrame], now: int, weight: int
    ) -> Applied:
        """Apply the frames in one transaction. ``weight`` is about the bytes that they take."""
        ...

    async def durable(self, agent_id: str, instance_ids: Sequence[str]) -> dict[str, int]:
        """Up to which seq each instance's calls are stored; 0 for one that is not known."""
        ...
