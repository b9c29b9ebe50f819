"""When observations are handed in, and what is made of the answer: everything but the waiting.

One request is under way at a time. What waits goes together, a few hundred objects a body; where
more waits than a body takes, the next goes right after the answer, so that the control plane's pace
is the pace. Questions alone are spread evenly over their refresh.

* 200 is an answer. One that does not decode is none.
* 400, 413 and 422 refuse a body for good. It is halved until what is refused is alone; that is left
  alone for a while and holds nobody else up.
* Anything else is a failure like no answer at all: a pause that doubles, spread by identity. 429
  and 503 say when to come back, within bounds.

Nothing here can fail a scrape or a status: where the control plane is away, readings wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agentspec_usage.controller.observation_outbox import Batch, ObservationOutbox
from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.errors import WireError
from agentspec_usage.runtime.ids import stable_fraction
from agentspec_usage.wire.observed_answer import ObservedAnswer, decode_observed_answer

__all__ = ["ObservationSender", "ObservationSenderSettings", "ObservationStats"]

logger = logging.getLogger(__name__)

_REFUSED = (400, 413, 422)


@dataclass(frozen=True, slots=True)
class ObservationSenderSettings:
    """``entries`` of a body at most. Seconds: ``interval`` between requests when nothing is left
    over; ``pause`` after a first failure, doubling up to ``longest_pause``, which also bounds what
    a Retry-After can ask for.
    """

    entries: int = 200
    interval: float = 1.0
    pause: float = 1.0
    longest_pause: float = 60.0


@dataclass(frozen=True, slots=True)
class ObservationStats:
    """Requests by what came of them, and what waits now."""

    answered: int
    failed: int
    refused: int
    waiting: int


class ObservationSender:
    """Hands in what ``outbox`` holds. ``identity`` spreads the pauses. ``on_answer`` is told what
    the control plane says. For one event loop.
    """

    def __init__(
        self,
        identity: str,
        outbox: ObservationOutbox,
        on_answer: Callable[[ObservedAnswer, Batch], None],
        settings: ObservationSenderSettings | None = None,
    ) -> None:
        self._identity = identity
        self._outbox = outbox
        self._on_answer = on_answer
        self._settings = settings or ObservationSenderSettings()
        self._limit = self._settings.entries
        self._under_way: Batch | None = None
        self._next_at = 0.0
        self._blocked_until = 0.0
        self._failures_in_a_row = 0
        self._counts = {"answered": 0, "failed": 0, "refused": 0}

    @property
    def stats(self) -> ObservationStats:
        counts = self._counts
        return ObservationStats(
            counts["answered"], counts["failed"], counts["refused"], self._outbox.ready
        )

    @property
    def settled(self) -> bool:
        """Whether nothing waits, or nothing can be done about it now."""
        return bool(self._failures_in_a_row) or not (self._outbox.ready or self._under_way)

    def poll(self, now: float) -> Batch | float:
        """The request to make at ``now``, or the seconds until it is worth asking again."""
        settings = self._settings
        if self._under_way is not None:
            return settings.interval
        due = max(self._next_at, self._blocked_until)
        if now < due:
            return due - now
        asks = 1 + int(len(self._outbox) * settings.interval / self._outbox.refresh)
        batch = self._outbox.take(self._limit, asks, now)
        if batch is None:
            self._next_at = now + settings.interval
            return settings.interval
        self._under_way = batch
        return batch

    def answered(self, batch: Batch, reply: Reply | NoAnswer, now: float) -> None:
        """What came of ``batch``."""
        self._under_way = None
        if isinstance(reply, NoAnswer):
            self._failed(batch, reply.reason, now)
        elif reply.status == 200:
            try:
                answer = decode_observed_answer(reply.body)
            except WireError as error:
                self._failed(batch, f"answer: {error}", now)
            else:
                self._taken(batch, answer, now)
        elif reply.status in _REFUSED:
            self._refused(batch, reply.status, now)
        else:
            self._failed(batch, f"status {reply.status}", now, reply.retry_after)

    def _taken(self, batch: Batch, answer: ObservedAnswer, now: float) -> None:
        if self._failures_in_a_row:
            logger.info("the control plane takes observations again")
        self._failures_in_a_row = 0
        self._counts["answered"] += 1
        self._limit = min(2 * self._limit, self._settings.entries)
        self._outbox.acknowledged(batch, now)
        crowded = self._outbox.ready >= self._limit
        self._next_at = now if crowded else now + self._settings.interval
        self._on_answer(answer, batch)

    def _refused(self, batch: Batch, status: int, now: float) -> None:
        self._counts["refused"] += 1
        self._next_at = now
        if batch.entries > 1:
            self._outbox.put_back(batch)
            self._limit = max(1, batch.entries // 2)
            return
        self._outbox.set_aside(batch, now)
        logger.warning(
            "the control plane refuses an observation",
            extra={
                "status": status,
                "agents": sorted(question.agent for question in batch.asked.values()),
            },
        )

    def _failed(
        self, batch: Batch, reason: str, now: float, retry_after: float | None = None
    ) -> None:
        settings = self._settings
        self._outbox.put_back(batch)
        self._counts["failed"] += 1
        self._failures_in_a_row += 1
        if self._failures_in_a_row == 1:
            logger.warning("the control plane takes no observations", extra={"reason": reason})
        row = self._failures_in_a_row
        spread = stable_fraction(self._identity, str(row))
        pause = min(settings.pause * 2.0 ** min(row - 1, 16), settings.longest_pause)
        pause *= 0.5 + spread / 2
        if retry_after is not None:
            pause = min(max(retry_after, 0.0), settings.longest_pause) + spread
        self._blocked_until = now + pause
