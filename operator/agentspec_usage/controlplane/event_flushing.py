"""The worker that brings buffered events to the store.

A request only enqueues; writing is here, in one task, a portion at a time, every few seconds or
when a portion is full. A store that is slow or away therefore holds no request up: events wait, and
when there is no room for more they are dropped and counted.

Stop: the program stops taking requests first, then drains, what came in while it drained among it.
What the store does not take within the grace is given up, counted and said.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from agentspec_usage.metering.event_buffer import EventBuffer, EventStats, Poison, Portion, Taken
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.store.errors import StoreError, StoreRefusedError
from agentspec_usage.store.events import EventStore
from agentspec_usage.store.proof.event_batch import EventBatch

__all__ = ["EventFlushing"]

logger = logging.getLogger(__name__)


class EventFlushing:
    """Owns ``buffer``. Everything but the store's own work happens on one event loop."""

    def __init__(self, buffer: EventBuffer, store: EventStore, clock: Clock) -> None:
        self._buffer = buffer
        self._store = store
        self._clock = clock
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._told_dropped = 0

    @property
    def stats(self) -> EventStats:
        """What the buffer counted."""
        return self._buffer.stats

    def queued_of(self, agent_id: str) -> int:
        """Events of one agent that are not durable yet."""
        return self._buffer.queued_of(agent_id)

    def enqueue(self, event: UsageEvent) -> Taken:
        """Take an event if there is room. Never waits, never writes, never raises."""
        taken = self._buffer.enqueue(event, self._clock.monotonic())
        if taken is Taken.QUEUED and self._buffer.wants_attention:
            self._changed.set()
        return taken

    def start(self) -> None:
        """Begin to flush; a second start does nothing. Needs a running loop."""
        if self._buffer.start():
            self._task = asyncio.create_task(self._run(), name="agentspec-usage-events")

    async def stop(self, grace: float) -> bool:
        """Write what is held, within ``grace`` seconds. Whether nothing was given up."""
        self._stopping = True
        self._changed.set()
        task, self._task = self._task, None
        if task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(task, grace)
        lost = self._buffer.close()
        if lost:
            logger.error(
                "events were given up: the store did not take them in time", extra={"events": lost}
            )
        return not lost

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            due = self._buffer.due_in(self._clock.monotonic(), stopping=self._stopping)
            if due is None and self._stopping:
                # In the step that saw nothing left, so that no producer comes in between.
                self._buffer.close()
                return
            if due == 0:
                await self._write()
                self._tell_dropped()
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), due)

    async def _write(self) -> None:
        what = self._buffer.next(self._clock.monotonic())
        try:
            if isinstance(what, Poison):
                await self._set_aside(what)
            elif what is not None:
                await self._flush(what)
        except StoreError as error:
            if self._buffer.stats.last_error != str(error):
                logger.warning("events could not be written yet", extra={"reason": str(error)})
            self._buffer.failed(str(error), self._clock.monotonic())

    async def _flush(self, portion: Portion) -> None:
        now = self._clock.now()
        try:
            flushed = await self._store.flush_events(portion.frames, now)
        except StoreRefusedError as error:
            self._buffer.refused(str(error))
            return
        if flushed.rewound:
            logger.warning(
                "the store went back in time: events go on as new instances",
                extra={"agents": len(flushed.rewound)},
            )
            self._buffer.rewound(flushed.rewound)
            return
        self._buffer.durable(portion, now)
        for batch in flushed.batches:
            _tell(batch)

    async def _set_aside(self, poison: Poison) -> None:
        await self._store.set_event_aside(poison.event, poison.reason, self._clock.now())
        self._buffer.kept_beside()
        logger.error(
            "an event cannot be stored and was set aside",
            extra={"agent": poison.event.agent_id, "reason": poison.reason},
        )

    def _tell_dropped(self) -> None:
        dropped = self._buffer.stats.total_dropped
        if dropped > self._told_dropped:
            logger.warning("events were dropped: there was no room", extra={"events": dropped})
        self._told_dropped = dropped


def _tell(batch: EventBatch) -> None:
    """The log line by which others learn of a flush; numbers and names, nothing else."""
    logger.info(
        "usage.batch_flushed",
        extra={
            "batchId": batch.batch_id,
            "agents": [batch.agent],
            "sessionId": batch.session,
            "runId": batch.run,
            "parentRunId": batch.parent_run,
            "eventCount": batch.events,
            "inputTokens": batch.input_tokens,
            "outputTokens": batch.output_tokens,
            "totalTokens": batch.total_tokens,
            "toolCalls": batch.tool_calls,
            "costs": dict(batch.costs),
            "models": list(batch.models),
            "batchHash": batch.hash,
        },
    )
