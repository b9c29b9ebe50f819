"""The buffer between senders that wait for nothing and a store that may be slow.

Pure, like the outbox: it is told the time and what became of a portion, and says what to write and
when. Enqueueing therefore cannot wait, write or fail; whoever owns the buffer writes elsewhere.

A portion of events stays the first one until its end is known:

* *durable*: its room is free.
* *failed* (the store is full, locked or away): the same portion again, later and later.
* *refused* (something in it cannot be stored, ever): its halves, at once. So an event that cannot
  be stored is found in a few steps, the others around it go on, and it is set aside alone.

What is dropped is counted: an event for which there is no room, and what a stop could not write.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from agentspec_usage.metering.event_queue import EventQueue, QueueLimits
from agentspec_usage.metering.event_sealing import EventFrame, EventSealing
from agentspec_usage.metering.usage_event import UsageEvent

__all__ = ["EventBuffer", "EventLimits", "EventStats", "Poison", "Portion", "Taken"]

SHORTEST_INTERVAL = 0.25
"""Seconds between two flushes that nothing else asks for: below it there is nothing to gather."""

LONGEST_BACKOFF = 60.0


@dataclass(frozen=True, slots=True)
class EventLimits:
    """When is flushed, and how much is held; ``interval`` in seconds.

    ``known_ids`` are the newest event ids that are not counted a second time.
    """

    interval: float = 5.0
    portion: int = 100
    queue: QueueLimits = field(default_factory=QueueLimits)
    known_ids: int = 65_536


class Taken(Enum):
    """What became of an event that was handed in."""

    QUEUED = "queued"
    REPEATED = "repeated"
    """Its id was taken lately: it counts once."""
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class EventStats:
    """What the buffer counted since it was made. ``last_flush_at`` is in ms, UTC."""

    started: bool
    queue_size: int
    total_enqueued: int
    total_flushed: int
    total_dropped: int
    flush_count: int
    last_flush_at: int | None
    last_error: str | None
    total_repeated: int = 0
    total_set_aside: int = 0


@dataclass(frozen=True, slots=True)
class Portion:
    """Events to write in one transaction."""

    frames: tuple[EventFrame, ...]


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that no transaction takes, to be kept beside, and why."""

    event: UsageEvent
    reason: str


@dataclass(frozen=True, slots=True)
class _Part:
    """Events that were taken from the queue; ``refused`` says why the one of them is poison."""

    events: tuple[UsageEvent, ...]
    refused: str = ""


class EventBuffer:
    """Not thread-safe. ``now`` is monotonic seconds, unless it says otherwise."""

    def __init__(self, new_instance: Callable[[], str], limits: EventLimits | None = None) -> None:
        limits = limits or EventLimits()
        self._interval = max(limits.interval, SHORTEST_INTERVAL)
        self._portion = limits.portion
        self._known_ids = limits.known_ids
        self._queue = EventQueue(limits.queue)
        self._sealing = EventSealing(new_instance)
        self._parts: deque[_Part] = deque()
        self._ids: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._waiting_since = 0.0
        self._failures = 0
        self._not_before = 0.0
        self._started = False
        self._closed = False
        self._enqueued = self._flushed = self._dropped = self._repeated = self._set_aside = 0
        self._flushes = 0
        self._last_flush_at: int | None = None
        self._last_error: str | None = None

    @property
    def stats(self) -> EventStats:
        """What was counted so far."""
        return EventStats(
            *(self._started, self._queue.held, self._enqueued, self._flushed, self._dropped),
            *(self._flushes, self._last_flush_at, self._last_error),
            *(self._repeated, self._set_aside),
        )

    @property
    def wants_attention(self) -> bool:
        """Whether the event that was just taken changed when something is due."""
        return self._queue.waiting == 1 or self._queue.waiting >= self._portion

    def queued_of(self, agent_id: str) -> int:
        """Events of one agent that are not durable yet."""
        return self._queue.held_of(agent_id)

    def start(self) -> bool:
        """Whether this started it: a second start does nothing."""
        began = not self._started
        self._started = True
        return began

    def close(self) -> int:
        """Take nothing more. How many events are given up with it; they count as dropped."""
        self._started = False
        self._closed = True
        lost = self._queue.held
        self._dropped += lost
        self._queue.release([event for part in self._parts for event in part.events])
        self._queue.release(self._queue.take(self._queue.waiting))
        self._parts.clear()
        return lost

    def enqueue(self, event: UsageEvent, now: float) -> Taken:
        """Take the event if there is room. Never waits, never writes, never raises."""
        name = (event.agent_id, event.event_id)
        if event.event_id and name in self._ids:
            self._repeated += 1
            return Taken.REPEATED
        first = not self._queue.waiting
        if self._closed or not self._queue.put(event):
            self._dropped += 1
            return Taken.DROPPED
        if first:
            self._waiting_since = now
        if event.event_id:
            self._ids[name] = None
            if len(self._ids) > self._known_ids:
                self._ids.popitem(last=False)
        self._enqueued += 1
        return Taken.QUEUED

    def due_in(self, now: float, *, stopping: bool = False) -> float | None:
        """Seconds until there is something to write; None when nothing is held."""
        if not self._queue.held:
            return None
        held_back = max(self._not_before - now, 0.0)
        if self._parts or stopping or self._queue.waiting >= self._portion:
            return held_back
        return max(held_back, self._waiting_since + self._interval - now, 0.0)

    def next(self, now: float) -> Portion | Poison | None:
        """What to write: the same until it is told what became of it."""
        if not self._parts:
            taken = self._queue.take(self._portion)
            if not taken:
                return None
            self._parts.append(_Part(taken))
            self._waiting_since = now
        part = self._parts[0]
        if part.refused:
            return Poison(part.events[0], part.refused)
        return Portion(self._sealing.frames(part.events))

    def durable(self, portion: Portion, at: int) -> None:
        """The portion is stored, at ``at`` (ms, UTC)."""
        self._sealing.durable(portion.frames)
        self._flushed += self._release()
        self._flushes += 1
        self._last_flush_at = at
        self._last_error = None

    def kept_beside(self) -> None:
        """The poison is stored where it is in nobody's way."""
        self._set_aside += self._release()

    def failed(self, reason: str, now: float) -> None:
        """Nothing was written, for a reason that passes: again, later and later."""
        self._failures += 1
        backoff = SHORTEST_INTERVAL * 2 ** min(self._failures, 16)
        self._not_before = now + min(backoff, LONGEST_BACKOFF)
        self._last_error = reason

    def refused(self, reason: str) -> None:
        """Nothing was written, and never will be as it is."""
        self._last_error = reason
        part = self._parts.popleft()
        middle = len(part.events) // 2
        if middle:
            self._parts.appendleft(_Part(part.events[middle:]))
            self._parts.appendleft(_Part(part.events[:middle]))
        else:
            self._parts.appendleft(_Part(part.events, reason))

    def rewound(self, agent_ids: tuple[str, ...]) -> None:
        """Nothing was written: the store stands elsewhere with these agents."""
        self._sealing.rewound(agent_ids)

    def _release(self) -> int:
        part = self._parts.popleft()
        self._queue.release(part.events)
        self._failures = 0
        self._not_before = 0.0
        return len(part.events)
