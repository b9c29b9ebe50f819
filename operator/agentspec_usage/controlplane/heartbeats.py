"""``POST /heartbeat``: who is alive, and totals that no frame may have brought yet."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from agentspec_usage.controlplane.committing import Commits
from agentspec_usage.controlplane.gate import Caller, Gate
from agentspec_usage.controlplane.limits import HeartbeatSlots, NewInstances
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.serving.body import read_body
from agentspec_usage.serving.problems import too_many
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.values import instance_of, is_final
from agentspec_usage.wire.heartbeat import Heartbeat, decode_heartbeat
from agentspec_usage.wire.heartbeat_encoding import MAX_HEARTBEAT
from agentspec_usage.wire.records_answer import HeartbeatAnswer, encode_heartbeat_answer

__all__ = ["Heartbeats"]

REFUSED_HEADER = "X-Agentspec-Usage-Refused"


class Heartbeats:
    """``records_path`` is where frames are taken, told to senders that have an instance."""

    def __init__(
        self,
        store: IngestStore,
        gate: Gate,
        clock: Clock,
        commits: Commits,
        metrics: Metrics,
        new_instances: NewInstances,
        settings: ControlPlaneSettings,
        records_path: str,
    ) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._commits = commits
        self._metrics = metrics
        self._new_instances = new_instances
        self._settings = settings
        self._records_path = records_path
        self._slots = HeartbeatSlots(settings.heartbeat_interval)

    async def take(self, request: Request) -> Response:
        """204 to AgentSpec's own dialect; with an instance where its calls stand."""
        caller = await self._gate.agent(request)
        with self._gate.room(caller.agent.agent_id):
            body = await read_body(request, MAX_HEARTBEAT, self._settings.body_timeout)
            heartbeat = decode_heartbeat(body)
        headers = {}
        if heartbeat.usage_error is not None:
            # Bad usage never costs the agent its liveness, but whoever sends it can see why.
            self._metrics.usage_refused.inc()
            headers[REFUSED_HEADER] = str(heartbeat.usage_error).encode("ascii", "replace").decode()
        instance = instance_of(heartbeat)
        self._admit(caller.agent.agent_id, heartbeat)
        await self._keep(caller, heartbeat, instance)
        if not instance:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
        durable = await self._store.durable(caller.agent.agent_id, [instance])
        answer = encode_heartbeat_answer(HeartbeatAnswer(durable[instance], self._records_path))
        return Response(answer, headers=headers, media_type="application/json")

    def _admit(self, agent_id: str, heartbeat: Heartbeat) -> None:
        """Refuse what would make too many instances."""
        snapshots = heartbeat.usage.snapshots if heartbeat.usage else ()
        named = [one.instance_id for one in snapshots if one.instance_id is not None]
        wait = self._new_instances.take(agent_id, named, self._clock.monotonic())
        if wait:
            raise too_many("too many instances of this agent are new", wait)

    async def _keep(self, caller: Caller, heartbeat: Heartbeat, instance: str) -> None:
        limited = not is_final(heartbeat)
        if limited:
            wait = self._slots.take(caller.key_id, instance, self._clock.monotonic())
            if wait:
                raise too_many("a heartbeat of this instance came just before", wait)
        kept = False
        try:
            await self._commits.wait(
                self._store.record_heartbeat(caller.agent.agent_id, heartbeat, self._clock.now())
            )
            kept = True
        finally:
            if limited and not kept:
                self._slots.give_back(caller.key_id, instance)
