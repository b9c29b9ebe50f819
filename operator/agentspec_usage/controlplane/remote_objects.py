"""Agents that only push, as objects in the cluster: made when first heard, then kept up to date.

Round by round: ask the store about all of them in a few statements, ask it about models and charges
of those that changed, compute their statuses, and write those that say something new. A round ends
at the first sign that the API server is away or overloaded; what was not written is in the next.
Nothing else waits for it.

Objects are listed once, and then now and then, to find what others did to them: each write holds
only for the version that it was computed from, so what happened in between can be seen late and
not be written over blindly. An object of another source is somebody else's (the operator's) and is
never written, though it had the agent's name.

An agent that is silent gets no object made: one that an administrator deleted stays deleted, until
the agent speaks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from agentspec_usage.controlplane.remote_object import (
    RemoteObject,
    by_agent,
    new_object,
    remote_object,
)
from agentspec_usage.controlplane.remote_status import RemoteFacts, build_remote_status
from agentspec_usage.errors import AgentspecUsageError
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.status_write import StatusPort, WriteResult
from agentspec_usage.kube.write_budget import WriteBudget
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.status.charges import NO_CHARGES, Charges
from agentspec_usage.status.usage import meaning
from agentspec_usage.store.remote import RemoteAgent, RemoteAgents
from agentspec_usage.wire.observed_answer import LedgerSaid

__all__ = ["ObservationPort", "RemoteObjects", "Told"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

_AT_ONCE = 100
"""Agents whose models and charges are asked for together."""

_LIST_SECONDS = 300.0
"""Between two listings: how late an edit by others is noticed, at most."""

_REFRESH_SECONDS = 300.0
"""Between two looks at an agent that says nothing new: its day and month end, its prices change."""


class ObservationPort(StatusPort, Protocol):
    """The API server, as far as this needs it. Raises ApiError."""

    async def list_observations(
        self, namespace: str, each: Callable[[dict[str, Any]], T]
    ) -> Sequence[T]: ...

    async def get_observation(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...

    async def create_observation(
        self, namespace: str, observation: Mapping[str, Any]
    ) -> Mapping[str, Any]: ...


_OF_THIS_OBJECT = (400, 422)
"""What an admission webhook or policy answers that refuses an object. Missing rights (403) are
everybody's."""

Told = Callable[[Collection[str]], Awaitable[tuple[Mapping[str, Charges], LedgerSaid | None]]]
"""What agents of the namespace are charged, by name, and the newest signed head."""


class RemoteObjects:
    """Writes the objects of ``namespace``, ``per_second`` at most.

    ``silence`` is how many seconds after a heartbeat an instance still counts as heard.
    """

    def __init__(
        self,
        store: RemoteAgents,
        told: Told,
        port: ObservationPort,
        clock: Clock,
        draw: Callable[[], str],
        *,
        namespace: str,
        silence: float,
        per_second: float,
        on_write: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._store = store
        self._told = told
        self._port = port
        self._clock = clock
        self._draw = draw
        self._namespace = namespace
        self._silence_ms = round(silence * 1000)
        self._budget = WriteBudget(per_second, clock.monotonic())
        self._on_write = on_write
        self._objects: dict[str, RemoteObject] = {}
        self._listed_at = float("-inf")
        self._others: set[str] = set()
        """Agents of whose names there is an object of another source, or can be none; forgotten at
        the next listing."""
        self._failing = ""

    async def round(self) -> None:
        """Bring every object up to date. A failure is logged once and tried again next time."""
        try:
            await self._round()
        except AgentspecUsageError as error:
            if self._failing != str(error):
                logger.warning(
                    "the objects of remote agents were not written", extra={"reason": str(error)}
                )
            self._failing = str(error)
            return
        self._failing = ""

    async def _round(self) -> None:
        if self._clock.monotonic() - self._listed_at >= _LIST_SECONDS:
            await self._list()
        since = self._clock.now() - self._silence_ms
        agents = await self._store.remote_agents(self._namespace, since)
        due = [agent for agent in agents if self._is_due(agent)]
        for few in _parts(due, _AT_ONCE):
            models = await self._store.remote_models([agent.agent_id for agent in few])
            charges, ledger = await self._told([agent.name for agent in few])
            for agent in few:
                facts = RemoteFacts(
                    agent, models[agent.agent_id], charges.get(agent.name, NO_CHARGES), ledger
                )
                await self._show(facts)

    async def _list(self) -> None:
        found = by_agent(await self._port.list_observations(self._namespace, remote_object))
        for agent, listed in found.items():
            known = self._objects.get(agent)
            if known is not None and known.version == listed.version:
                found[agent] = known
        self._objects = found
        self._others.clear()
        self._listed_at = self._clock.monotonic()

    def _is_due(self, agent: RemoteAgent) -> bool:
        known = self._objects.get(agent.name)
        if known is None:
            return agent.heard > 0 and agent.name not in self._others
        if known.facts is None or known.facts.agent != agent:
            return True
        return self._clock.monotonic() - known.looked_at >= _REFRESH_SECONDS

    async def _show(self, facts: RemoteFacts) -> None:
        known = self._objects.get(facts.agent.name) or await self._create(facts.agent.name)
        if known is None:
            return
        before = known.status
        now = self._clock.now()
        status = build_remote_status(
            facts,
            before,
            generation=known.generation,
            suspended=known.suspended,
            new_epoch=f"{to_rfc3339(now)}.{self._draw()[:8]}",
            now=now,
        )
        if meaning(status) != meaning(before):
            await self._pace()
            result = await self._port.patch_status(
                self._namespace, known.name, known.uid, known.version, status
            )
            self._on_write(result.kind)
            if not await self._settle(known, result, status):
                return
        known.facts = facts
        known.looked_at = self._clock.monotonic()

    async def _settle(
        self, known: RemoteObject, result: WriteResult, status: Mapping[str, Any]
    ) -> bool:
        """Draw the consequences; whether the facts are dealt with. Raises what ends the round."""
        match result.kind:
            case "written":
                known.written((result.object or {})["metadata"], status)
                return True
            case "conflict":
                self._take(known.agent, await self._read(known.name))
                return False
            case "gone":
                del self._objects[known.agent]
                return False
            case "invalid":
                # A fault of ours: the same status would be refused again, another one may not.
                logger.error(
                    "the status of a remote agent was refused as invalid",
                    extra={"agent": known.agent, "reason": result.message},
                )
                return True
            case "throttled":
                self._budget.halve(self._clock.monotonic(), result.retry_after or 1.0)
        raise ApiError(0, result.kind, result.message)

    async def _create(self, agent: str) -> RemoteObject | None:
        """The agent's object, made or found; None where its name is taken."""
        await self._pace()
        try:
            made = await self._port.create_observation(
                self._namespace, new_object(self._namespace, agent)
            )
        except ApiError as error:
            if error.status in _OF_THIS_OBJECT:
                # Admission refuses this one; that must not keep those after it from being shown.
                logger.warning(
                    "the object of a remote agent was refused",
                    extra={"agent": agent, "reason": error.message},
                )
                self._others.add(agent)
                return None
            if error.status != 409:
                raise
            return self._take(agent, await self._read(agent))
        logger.info("a remote agent is shown", extra={"agent": agent})
        return self._take(agent, made)

    async def _read(self, name: str) -> Mapping[str, Any] | None:
        return await self._port.get_observation(self._namespace, name)

    def _take(self, agent: str, thing: Mapping[str, Any] | None) -> RemoteObject | None:
        """Remember the agent's object as it was read."""
        found = None if thing is None else remote_object(thing)
        if found is not None and found.agent == agent:
            self._objects[agent] = found
            return found
        self._objects.pop(agent, None)
        if thing is not None:
            self._others.add(agent)
            logger.warning(
                "a remote agent is not shown: its name has an object of another source or agent",
                extra={"agent": agent},
            )
        return None

    async def _pace(self) -> None:
        await asyncio.sleep(self._budget.wait(self._clock.monotonic()))
        self._budget.take(self._clock.monotonic())


def _parts(agents: Sequence[RemoteAgent], size: int) -> Iterator[Sequence[RemoteAgent]]:
    for start in range(0, len(agents), size):
        yield agents[start : start + size]
