"""What remote agents are charged, for their objects: the same answer that the operator gets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import tzinfo

from agentspec_usage.controlplane.observed_answer import said_now
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.status.charges import Charges, charges_of
from agentspec_usage.store.observed import ObservationStore
from agentspec_usage.store.queries import AgentName
from agentspec_usage.wire.observed_answer import LedgerSaid

__all__ = ["RemoteCharges"]


class RemoteCharges:
    """Of agents in ``namespace``; days and months are those of ``zone``."""

    def __init__(self, store: ObservationStore, clock: Clock, zone: tzinfo, namespace: str) -> None:
        self._store = store
        self._clock = clock
        self._zone = zone
        self._namespace = namespace

    async def of(self, names: Collection[str]) -> tuple[Mapping[str, Charges], LedgerSaid | None]:
        """The charges of each agent that is known, by its name, and the newest signed head."""
        asked = [AgentName(self._namespace, name) for name in names]
        said = await said_now(self._store, asked, self._zone, self._clock.now())
        charges = {
            agent.name: charges_of(agent, today_ends=said.today_ends, month_ends=said.month_ends)
            for agent in said.agents
        }
        return charges, said.ledger
