"""``GET /agents``: who is registered, and what its newest heartbeats said."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.naming import find_agent
from agentspec_usage.controlplane.shapes import AgentRow
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.serving.problems import Refusal
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.values import AgentSummary, StoredHeartbeat
from agentspec_usage.wire.heartbeat import grade_of
from agentspec_usage.wire.usage import MAX_INSTANCES, decode_usage
from agentspec_usage.wire.usage_encoding import encode_usage

__all__ = ["Agents"]

_JSON = "application/json"


class Agents:
    def __init__(self, store: IngestStore, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    async def all(self, request: Request) -> Response:
        """Every agent, in the order of registration."""
        self._gate.admin(request)
        rows = [_row(summary) for summary in await self._store.agents()]
        return JSONResponse([row.model_dump(by_alias=True) for row in rows])

    async def health(self, request: Request) -> Response:
        """The health of the newest heartbeat."""
        return Response((await self._newest(request)).health, media_type=_JSON)

    async def gap(self, request: Request) -> Response:
        """The gap report of the newest heartbeat."""
        return Response((await self._newest(request)).gap, media_type=_JSON)

    async def proof(self, request: Request) -> Response:
        """The proof of the newest heartbeat."""
        newest = await self._newest(request)
        if newest.proof is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "the agent's newest heartbeat has no proof")
        return Response(newest.proof, media_type=_JSON)

    async def usage(self, request: Request) -> Response:
        """What the newest heartbeat of each instance counted, and when the newest came."""
        found = await self._heartbeats(request)
        extra = {"receivedAt": to_rfc3339(found[0].received_at)} if found else None
        body = encode_usage(latest_snapshots(found), extra=extra)
        return Response(body, media_type=_JSON)

    async def _newest(self, request: Request) -> StoredHeartbeat:
        found = await self._heartbeats(request)
        if not found:
            raise Refusal(HTTPStatus.NOT_FOUND, "no heartbeat of this agent has come yet")
        return found[0]

    async def _heartbeats(self, request: Request) -> list[StoredHeartbeat]:
        self._gate.admin(request)
        agent = await find_agent(self._store, request)
        return list(await self._store.heartbeats(agent.agent_id))


def latest_snapshots(heartbeats: list[StoredHeartbeat]) -> list[UsageSnapshot]:
    """The newest snapshot of each instance, the newest first, as many as one body may list.

    A sender of AgentSpec's dialect has no instances: where it spoke last, its window is all there
    is, because a window and cumulative totals cannot be added.
    """
    found: dict[str | None, UsageSnapshot] = {}
    for heartbeat in heartbeats:
        if heartbeat.usage is None:
            continue
        for snapshot in decode_usage(heartbeat.usage.encode()).snapshots:
            if snapshot.instance_id is None and not found:
                return [snapshot]
            if snapshot.instance_id is not None:
                found.setdefault(snapshot.instance_id, snapshot)
    return list(found.values())[:MAX_INSTANCES] or [UsageSnapshot()]


def _row(summary: AgentSummary) -> AgentRow:
    agent = summary.agent
    return AgentRow(
        agentId=agent.agent_id,
        agentName=agent.name,
        namespace=agent.namespace,
        runtime=agent.runtime,
        phase=str(summary.phase),
        grade=None if summary.score is None else grade_of(summary.score),
        score=summary.score,
        lastSeen=None if summary.last_seen is None else to_rfc3339(summary.last_seen),
        registeredAt=to_rfc3339(agent.registered_at),
        revokedAt=None if agent.revoked_at is None else to_rfc3339(agent.revoked_at),
    )
