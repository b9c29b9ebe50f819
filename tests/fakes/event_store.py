"""An ``EventStore`` in memory that can be slow, away, or unable to store some events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agentspec_usage.metering.event_sealing import EventFrame
from agentspec_usage.metering.usage_event import UsageEvent
from agentspec_usage.store.errors import StoreError, StoreRefusedError, StoreUnavailableError
from agentspec_usage.store.events import CheckedBatch, FlushedEvents

__all__ = ["MemoryEventStore"]


class MemoryEventStore:
    """Takes portions as the real one does: a frame that it has it takes no second time."""

    def __init__(self) -> None:
        self.portions: list[list[UsageEvent]] = []
        self.aside: list[UsageEvent] = []
        self.seconds = 0.0
        """How long a write takes."""
        self.failures = 0
        """How many of the next writes fail for now."""
        self.refuses: Callable[[UsageEvent], bool] = lambda event: False
        self.forgotten: set[str] = set()
        """Agents with whom this store went back in time, once."""
        self.calls = 0
        self._stands: dict[str, int] = {}

    @property
    def stored(self) -> list[UsageEvent]:
        """Every event that was taken."""
        return [event for portion in self.portions for event in portion]

    async def flush_events(self, frames: Sequence[EventFrame], now: int) -> FlushedEvents:
        await self._work()
        rewound = tuple(one.agent_id for one in frames if one.agent_id in self.forgotten)
        self.forgotten.difference_update(rewound)
        if rewound:
            return FlushedEvents(rewound=rewound)
        if any(self.refuses(event) for one in frames for event in one.events):
            raise StoreRefusedError("an event cannot be stored")
        fresh = [
            one for one in frames if self._stands.get(one.frame.instance_id, 0) < one.frame.last
        ]
        for one in fresh:
            if one.frame.since != self._stands.get(one.frame.instance_id, 0):
                raise StoreError(f"a gap before call {one.frame.since}")
            self._stands[one.frame.instance_id] = one.frame.last
        self.portions.append([event for one in fresh for event in one.events])
        return FlushedEvents()

    async def set_event_aside(self, event: UsageEvent, reason: str, now: int) -> None:
        await self._work()
        self.aside.append(event)

    async def event_batch(self, batch_id: str, agent_id: str = "") -> CheckedBatch | None:
        return None

    async def _work(self) -> None:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("SQLITE_FULL")
