"""``/usage/events`` and ``/usage/batches``: usage of senders that fire and forget.

An event is answered when it is in memory, not when it is durable, and it may be dropped where there
is no room: the answer and the metrics say how many. Frames are the way that loses nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from http import HTTPStatus

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from agentspec_usage.controlplane.event_flushing import EventFlushing
from agentspec_usage.controlplane.event_shapes import (
    EventBatchAnswer,
    EventsAnswer,
    EventStatsAnswer,
)
from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.operations import Answer, Credential, Operation
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.metering.event_buffer import Taken
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.serving.body import read_body
from agentspec_usage.serving.problems import Refusal
from agentspec_usage.store.events import CheckedBatch, EventStore
from agentspec_usage.wire.events import MAX_EVENTS_BODY, EventsBody, decode_events

__all__ = ["Events", "event_operations"]

_BATCH_ID = re.compile("[0-9a-f]{32}")


class Events:
    def __init__(
        self,
        store: EventStore,
        flushing: EventFlushing,
        gate: Gate,
        clock: Clock,
        settings: ControlPlaneSettings,
    ) -> None:
        self._store = store
        self._flushing = flushing
        self._gate = gate
        self._clock = clock
        self._settings = settings

    async def take(self, request: Request) -> Response:
        """202: what was taken, and what there was no room for."""
        caller = await self._gate.agent(request)
        with self._gate.room(caller.agent.agent_id):
            body = await read_body(request, MAX_EVENTS_BODY, self._settings.body_timeout, gzip=True)
            agent_id = caller.agent.agent_id
            taken = Counter(
                self._flushing.enqueue(event)
                for event in decode_events(body, agent_id, self._clock.now())
            )
        answer = EventsAnswer(
            accepted=taken[Taken.QUEUED],
            dropped=taken[Taken.DROPPED],
            repeated=taken[Taken.REPEATED],
            queued=self._flushing.queued_of(agent_id),
        )
        return _answer(answer, HTTPStatus.ACCEPTED)

    async def stats(self, request: Request) -> Response:
        """What the buffer counted."""
        self._gate.admin(request)
        stats = self._flushing.stats
        return _answer(
            EventStatsAnswer(
                started=stats.started,
                queueSize=stats.queue_size,
                totalEnqueued=stats.total_enqueued,
                totalFlushed=stats.total_flushed,
                totalDropped=stats.total_dropped,
                totalRepeated=stats.total_repeated,
                totalSetAside=stats.total_set_aside,
                flushCount=stats.flush_count,
                lastFlushAt=_time(stats.last_flush_at),
                lastError=stats.last_error,
            )
        )

    async def batch(self, request: Request) -> Response:
        """A batch, read again and checked; an agent sees its own."""
        own = ""
        if "x-admin-key" in request.headers:
            self._gate.admin(request)
        else:
            own = (await self._gate.agent(request)).agent.agent_id
        batch_id = request.path_params["id"]
        named = _BATCH_ID.fullmatch(batch_id)
        found = await self._store.event_batch(batch_id, own) if named else None
        if found is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "no such batch")
        return _answer(_batch_answer(found))


def event_operations(events: Events, prefix: str) -> tuple[Operation, ...]:
    """The endpoints, below ``prefix``."""
    limits = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    return (
        Operation(
            "events",
            "POST",
            f"{prefix}/events",
            events.take,
            "Tell of model calls without waiting until they are durable",
            Credential.AGENT,
            {HTTPStatus.ACCEPTED: Answer("What was taken, and what was dropped", EventsAnswer)},
            EventsBody,
            (
                HTTPStatus.UNAUTHORIZED,
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                HTTPStatus.UNPROCESSABLE_ENTITY,
                *limits,
            ),
        ),
        Operation(
            "events_stats",
            "GET",
            f"{prefix}/events",
            events.stats,
            "What the buffer of events counted",
            Credential.ADMIN,
            {HTTPStatus.OK: Answer("Since this process started", EventStatsAnswer)},
            problems=(HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE),
        ),
        Operation(
            "batch",
            "GET",
            f"{prefix}/batches/{{id}}",
            events.batch,
            "A batch of events, computed again from what is stored",
            Credential.ADMIN_OR_AGENT,
            {HTTPStatus.OK: Answer("As it was told, and whether it holds", EventBatchAnswer)},
            problems=(
                HTTPStatus.UNAUTHORIZED,
                HTTPStatus.FORBIDDEN,
                HTTPStatus.NOT_FOUND,
                *limits,
            ),
        ),
    )


def _batch_answer(checked: CheckedBatch) -> EventBatchAnswer:
    batch = checked.batch
    currency, cost = next(iter(batch.costs.items())) if len(batch.costs) == 1 else (None, None)
    return EventBatchAnswer(
        batchId=batch.batch_id,
        flushedAt=to_rfc3339(batch.at),
        sessionId=batch.session or None,
        runId=batch.run or None,
        parentRunId=batch.parent_run or None,
        eventCount=batch.events,
        inputTokens=batch.input_tokens,
        outputTokens=batch.output_tokens,
        totalTokens=batch.total_tokens,
        toolCalls=batch.tool_calls,
        totalCost=cost,
        currency=currency,
        costs=dict(batch.costs),
        unpricedCount=batch.unpriced,
        models=list(batch.models),
        agents=[batch.agent],
        batchHash=batch.hash,
        verified=not checked.finding,
        finding=checked.finding or None,
    )


def _time(at: int | None) -> str | None:
    return None if at is None else to_rfc3339(at)


def _answer(body: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(body.model_dump_json(by_alias=True), int(status), media_type="application/json")
