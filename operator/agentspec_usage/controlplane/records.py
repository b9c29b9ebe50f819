"""``POST /usage/records``: frames, answered when they are durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from agentspec_usage.controlplane.committing import Commits
from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.limits import NewInstances
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.serving.body import read_body
from agentspec_usage.serving.problems import too_many
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.values import Agent, Applied, DigestedFrame
from agentspec_usage.wire.records import decode_records
from agentspec_usage.wire.records_answer import RecordsAnswer, encode_records_answer
from agentspec_usage.wire.records_encoding import MAX_RECORDS_BODY, frame_digest

__all__ = ["Records"]

logger = logging.getLogger(__name__)


class Records:
    def __init__(
        self,
        store: IngestStore,
        gate: Gate,
        clock: Clock,
        commits: Commits,
        metrics: Metrics,
        new_instances: NewInstances,
        settings: ControlPlaneSettings,
    ) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._commits = commits
        self._metrics = metrics
        self._new_instances = new_instances
        self._settings = settings
        # One: the interpreter runs one thread at a time. Several would take turns with each other
        # and with the store's writer, and nothing would be done sooner.
        self._decoder = ThreadPoolExecutor(1, "decode")

    async def take(self, request: Request) -> Response:
        """200 after the commit; 202 with the watermarks as they are when that takes too long."""
        caller = await self._gate.agent(request)
        with self._gate.room(caller.agent.agent_id):
            body = await read_body(
                request, MAX_RECORDS_BODY, self._settings.body_timeout, gzip=True
            )
            # A full body takes dozens of milliseconds: other requests need not wait for it.
            decoding = asyncio.get_running_loop().run_in_executor(self._decoder, _decode, body)
            frames = await decoding
            agent_id = caller.agent.agent_id
            self._admit(agent_id, frames)
            applied = await self._commits.wait(
                self._store.apply_frames(agent_id, frames, self._clock.now(), len(body))
            )
        if applied is None:
            instances = list(dict.fromkeys(digested.frame.instance_id for digested in frames))
            durable = await self._store.durable(agent_id, instances)
            return _answer(HTTPStatus.ACCEPTED, RecordsAnswer(durable))
        self._tell(caller.agent, applied)
        return _answer(HTTPStatus.OK, RecordsAnswer(applied.answers.durable, applied.answers.gaps))

    def _admit(self, agent_id: str, frames: Sequence[DigestedFrame]) -> None:
        """Refuse what would make too many instances. Only a first frame makes one."""
        first = [one.frame.instance_id for one in frames if one.frame.since == 0]
        wait = self._new_instances.take(agent_id, first, self._clock.monotonic())
        if wait:
            raise too_many("too many instances of this agent are new", wait)

    def _tell(self, agent: Agent, applied: Applied) -> None:
        self._metrics.items.inc(applied.items)
        self._metrics.gaps.inc(len(applied.answers.gaps))
        self._metrics.conflicts.inc(len(applied.conflicts))
        self._metrics.rolled_back.inc(len(applied.rolled_back))
        for message, instances in (
            ("a frame came again in other bytes: the first stays", applied.conflicts),
            (
                "calls that were durable once are gone: only their sums are known",
                applied.rolled_back,
            ),
        ):
            for instance_id in instances:
                logger.warning(
                    message,
                    extra={
                        "namespace": agent.namespace,
                        "agent": agent.name,
                        "instance": instance_id,
                    },
                )


def _decode(body: bytes) -> tuple[DigestedFrame, ...]:
    return tuple(DigestedFrame(frame, frame_digest(frame)) for frame in decode_records(body))


def _answer(status: HTTPStatus, answer: RecordsAnswer) -> Response:
    return Response(encode_records_answer(answer), int(status), media_type="application/json")
